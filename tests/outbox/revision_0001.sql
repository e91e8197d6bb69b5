-- The file of a service without migrations (commit 7f2e551), which had tried the first order once when its relay went away.
-- Its times are set back.
BEGIN TRANSACTION;
CREATE TABLE clock_jumps (
	id INTEGER NOT NULL, 
	noticed_at DOUBLE NOT NULL, 
	trusted_from DOUBLE NOT NULL, 
	seconds DOUBLE NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE delivery_events (
	id INTEGER NOT NULL, 
	event_id VARCHAR(128) NOT NULL, 
	mail_id INTEGER, 
	received_at DOUBLE NOT NULL, 
	at DOUBLE NOT NULL, 
	event VARCHAR(32) NOT NULL, 
	code INTEGER, 
	text TEXT, 
	raw TEXT, 
	PRIMARY KEY (id), 
	UNIQUE (event_id), 
	FOREIGN KEY(mail_id) REFERENCES outbox (id)
);
CREATE TABLE history (
	id INTEGER NOT NULL, 
	mail_id INTEGER NOT NULL, 
	at DOUBLE NOT NULL, 
	event VARCHAR(32) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	stage VARCHAR(16), 
	code INTEGER, 
	text TEXT, 
	seconds DOUBLE, 
	PRIMARY KEY (id), 
	FOREIGN KEY(mail_id) REFERENCES outbox (id)
);
INSERT INTO "history" VALUES(1,1,1742048868.314,'deferred','queued','rcpt',451,'4.3.0 later',2.05901412999992317054e-01);
INSERT INTO "history" VALUES(2,3,1742048869.96,'deferred','queued','connect',NULL,'[Errno 111] Connection refused',5.34068709999701241031e-01);
INSERT INTO "history" VALUES(3,2,1742048870.0,'deferred','queued','connect',NULL,'[Errno 111] Connection refused',5.826958120005656383e-01);
CREATE TABLE idempotency_keys (
	shop VARCHAR(64) NOT NULL, 
	idempotency_key VARCHAR(255) NOT NULL, 
	order_id VARCHAR(128) NOT NULL, 
	fingerprint VARCHAR(64) NOT NULL, 
	PRIMARY KEY (shop, idempotency_key)
);
INSERT INTO "idempotency_keys" VALUES('default','key-of-K2','K2','37549b7c56a065568f42cdd55b2a1f8c3a881480eadfac9e9d999ded08eb7da7');
CREATE TABLE outbox (
	id INTEGER NOT NULL, 
	shop VARCHAR(64) NOT NULL, 
	order_id VARCHAR(128) NOT NULL, 
	revision INTEGER DEFAULT '0' NOT NULL, 
	fingerprint VARCHAR(64) NOT NULL, 
	message_id VARCHAR(255) NOT NULL, 
	recipient VARCHAR(254), 
	address_hash VARCHAR(64), 
	payload TEXT, 
	accepted_at DOUBLE NOT NULL, 
	tried_at DOUBLE, 
	send_before DOUBLE, 
	state VARCHAR(16) NOT NULL, 
	changed_at DOUBLE NOT NULL, 
	due_at DOUBLE NOT NULL, 
	attempts INTEGER DEFAULT '0' NOT NULL, 
	possible_copies INTEGER DEFAULT '0' NOT NULL, 
	reason TEXT, 
	delivery VARCHAR(16), 
	delivery_at DOUBLE, 
	erased_at DOUBLE, 
	lease_token VARCHAR(32), 
	lease_owner VARCHAR(16), 
	lease_until DOUBLE, 
	PRIMARY KEY (id), 
	CONSTRAINT outbox_order UNIQUE (shop, order_id, revision)
);
INSERT INTO "outbox" VALUES(1,'default','K1',0,'bc599583dfb0d8a075d5e4713ec6ce05bd7c778a24b314931d6937620e509827','<ba02cde209f79e13b0978c36258378ca@acme.example>','john.doe@example.com','836f82db99121b3481011f16b49dfa5fbc714a0d1b1b9f784a1ebbbf5b39577f','{"defaults":{"currency":"USD","locale":"en"},"request":{"customer":{"address":"123 Main St, Anytown, USA","email":"john.doe@example.com","name":"John Doe","phone":"+1 555-123-4567"},"estimated_delivery":"2025-03-20T00:00:00+00:00","items":[{"name":"Wireless Headphones","price":"79.99","product_id":"PROD-001","quantity":"1"},{"name":"Phone Case","price":"19.99","product_id":"PROD-002","quantity":"2"}],"order_date":"2025-03-15T14:30:00+00:00","order_id":"K1","shipping_method":"Express","total":"119.97"}}',1742048868.078,1742048868.313,NULL,'queued',1742048868.313,1742048878.811,1,0,'rcpt: 451 4.3.0 later',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "outbox" VALUES(2,'default','K2',0,'37549b7c56a065568f42cdd55b2a1f8c3a881480eadfac9e9d999ded08eb7da7','<1fcf21daf6285dfd629b99c6a3b68caf@acme.example>','john.doe@example.com','836f82db99121b3481011f16b49dfa5fbc714a0d1b1b9f784a1ebbbf5b39577f','{"defaults":{"currency":"USD","locale":"en"},"request":{"customer":{"address":"123 Main St, Anytown, USA","email":"john.doe@example.com","name":"John Doe","phone":"+1 555-123-4567"},"estimated_delivery":"2025-03-20T00:00:00+00:00","items":[{"name":"Wireless Headphones","price":"79.99","product_id":"PROD-001","quantity":"1"},{"name":"Phone Case","price":"19.99","product_id":"PROD-002","quantity":"2"}],"order_date":"2025-03-15T14:30:00+00:00","order_id":"K2","shipping_method":"Express","total":"119.97"}}',1742048869.347,NULL,NULL,'queued',1742048870.0,1742048870.0,0,0,'connect: no reply [Errno 111] Connection refused',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "outbox" VALUES(3,'default','K3',0,'6557e81309c51813642d7e8292869a9ce9d457dd4253d889d1c0485fb24c584f','<78142fd8d82b9ccfa1977f5946660611@acme.example>','john.doe@example.com','836f82db99121b3481011f16b49dfa5fbc714a0d1b1b9f784a1ebbbf5b39577f','{"defaults":{"currency":"USD","locale":"en"},"request":{"customer":{"address":"123 Main St, Anytown, USA","email":"john.doe@example.com","name":"John Doe","phone":"+1 555-123-4567"},"estimated_delivery":"2025-03-20T00:00:00+00:00","items":[{"name":"Wireless Headphones","price":"79.99","product_id":"PROD-001","quantity":"1"},{"name":"Phone Case","price":"19.99","product_id":"PROD-002","quantity":"2"}],"order_date":"2025-03-15T14:30:00+00:00","order_id":"K3","shipping_method":"Express","total":"119.97"}}',1742048869.372,NULL,NULL,'queued',1742048869.959,1742048869.959,0,0,'connect: no reply [Errno 111] Connection refused',NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE suppressions (
	shop VARCHAR(64) NOT NULL, 
	address_hash VARCHAR(64) NOT NULL, 
	since DOUBLE NOT NULL, 
	event VARCHAR(32) NOT NULL, 
	released_at DOUBLE, 
	PRIMARY KEY (shop, address_hash)
);
CREATE INDEX idempotency_keys_order ON idempotency_keys (shop, order_id);
CREATE INDEX outbox_newest ON outbox (shop, accepted_at, id);
CREATE INDEX outbox_state ON outbox (shop, state, accepted_at, id);
CREATE INDEX outbox_leased ON outbox (lease_until) WHERE state IN ('sending');
CREATE INDEX outbox_kept ON outbox (changed_at) WHERE state IN ('sent', 'failed', 'cancelled', 'expired') AND payload IS NOT NULL;
CREATE INDEX outbox_attention ON outbox (state) WHERE state IN ('failed', 'held');
CREATE INDEX outbox_copies ON outbox (possible_copies) WHERE possible_copies > 0;
CREATE INDEX outbox_recipient ON outbox (shop, recipient, accepted_at, id);
CREATE INDEX outbox_due ON outbox (due_at) WHERE state IN ('queued', 'unknown');
CREATE INDEX ix_delivery_events_mail_id ON delivery_events (mail_id);
CREATE INDEX ix_history_mail_id ON history (mail_id);
COMMIT;
