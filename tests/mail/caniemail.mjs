// Reads a mail's HTML from stdin; prints what mail programs do not support, as JSON: {feature: [program, …]}.
import { readFileSync } from "node:fs";
import { caniemail } from "caniemail";

const CLIENTS = [
  "apple-mail.*",
  "gmail.android",
  "gmail.desktop-webmail",
  "gmail.ios",
  "outlook.android",
  "outlook.ios",
  "outlook.macos",
  "outlook.windows",
  "samsung-email.*",
  "yahoo.*",
];

const { issues } = caniemail({ clients: CLIENTS, html: readFileSync(0, "utf8") });
const unsupported = {};
for (const [client, errors] of issues.errors) {
  for (const { title } of errors) {
    unsupported[title] = [...new Set([...(unsupported[title] ?? []), client])];
  }
}
console.log(JSON.stringify(unsupported));
