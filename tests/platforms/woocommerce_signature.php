<?php
// Signs and verifies bodies as WooCommerce does (WC_Webhook::generate_signature): a JSON object per line, in and out.
while ($line = fgets(STDIN)) {
    $delivery = json_decode($line);
    $signed = base64_encode(hash_hmac('sha256', $delivery->body, $delivery->secret, true));
    echo json_encode(['signed' => $signed, 'is_valid' => hash_equals($signed, $delivery->signature)]), "\n";
}
