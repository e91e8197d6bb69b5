// The same task in the usual way with Node: Express takes the order, nodemailer's pool sends the mail. Nothing is stored:
// the orders that wait are in memory, and a process that ends loses them.
"use strict";

const cluster = require("node:cluster");
const fs = require("node:fs");

const PROCESSES = 2;
const CONNECTIONS = 16; // in each process

if (cluster.isPrimary) {
  for (let number = 0; number < PROCESSES; number += 1) cluster.fork();
  process.on("SIGTERM", () => {
    for (const worker of Object.values(cluster.workers)) worker.kill();
    process.exit(0);
  });
  return;
}

const express = require("express");
const nodemailer = require("nodemailer");
const { html, text } = require("./templates");

const { PORT, API_KEY, SMTP_PORT, SMTP_USER, SMTP_PASSWORD, SMTP_CA_FILE } = process.env;

const transport = nodemailer.createTransport({
  host: "127.0.0.1",
  port: Number(SMTP_PORT),
  requireTLS: true,
  auth: { user: SMTP_USER, pass: SMTP_PASSWORD },
  tls: { ca: fs.readFileSync(SMTP_CA_FILE) },
  pool: true,
  maxConnections: CONNECTIONS,
  maxMessages: 100,
});

function invalid(order) {
  if (typeof order?.order_id !== "string" || !order.order_id) return "order_id";
  if (typeof order.customer?.name !== "string" || !/^\S+@\S+$/.test(order.customer.email)) return "customer";
  if (!Array.isArray(order.items) || !order.items.every((item) => item.name && item.quantity > 0)) return "items";
  return typeof order.total === "number" ? null : "total";
}

const app = express();
app.get("/ready", (request, response) => response.json({ status: "ready" }));
app.use(express.json());
app.post("/api/order-confirmation", (request, response) => {
  if (request.get("Authorization") !== `Bearer ${API_KEY}`) return response.status(401).json({ error: "unauthorized" });
  const order = request.body;
  const field = invalid(order);
  if (field) return response.status(422).json({ error: `${field} is not valid` });
  const mail = {
    from: "Acme, Inc. <orders@acme.example>",
    to: { name: order.customer.name, address: order.customer.email },
    subject: `Order ${order.order_id} confirmed`,
    text: text(order),
    html: html(order),
  };
  transport.sendMail(mail).catch((error) => console.error(`${order.order_id}: ${error.message}`));
  return response.status(202).json({ status: "queued", order_id: order.order_id });
});
app.listen(Number(PORT), "127.0.0.1");
