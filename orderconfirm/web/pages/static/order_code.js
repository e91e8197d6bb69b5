// The request as code, in the form of the programs in examples/.

import { byId, chosen, onChoice } from "./elements.js";

const place = byId("code");
const url = place.dataset.url;
const hasKeys = "hasKeys" in place.dataset;

const WRITERS = {
  curl: (body) => `curl -X POST ${url} \\
${hasKeys ? '  -H "X-API-Key: $ORDERCONFIRM_API_KEY" \\\n' : ""}  -H 'content-type: application/json' \\
  -d '${body.replaceAll("'", "'\\''")}'`,

  // Valid JSON never contains three quotes in a row, nor a line that begins with "JSON".
  python: (body) => `import json
${hasKeys ? "import os\n" : ""}import urllib.request

order = r"""${body}"""
headers = {"Content-Type": "application/json"}
${hasKeys ? 'headers["Authorization"] = f"Bearer {os.environ[\'ORDERCONFIRM_API_KEY\']}"\n' : ""}request = urllib.request.Request("${url}", order.encode(), headers)
with urllib.request.urlopen(request, timeout=15) as response:
    print(json.load(response)["message"])`,

  php: (body) => `<?php
$order = <<<'JSON'
${body}
JSON;
$headers = ['Content-Type: application/json'];
${hasKeys ? "$headers[] = 'Authorization: Bearer ' . getenv('ORDERCONFIRM_API_KEY');\n" : ""}$options = ['method' => 'POST', 'header' => $headers, 'content' => $order, 'timeout' => 15, 'ignore_errors' => true];
$response = file_get_contents('${url}', false, stream_context_create(['http' => $options]));
echo json_decode($response)->message, "\\n";`,

  javascript: (body) => `const order = ${body};
const headers = { "Content-Type": "application/json" };
${hasKeys ? "headers.Authorization = `Bearer ${process.env.ORDERCONFIRM_API_KEY}`;\n" : ""}const response = await fetch("${url}", {
  method: "POST",
  headers,
  body: JSON.stringify(order),
  signal: AbortSignal.timeout(15_000),
});
console.log((await response.json()).message);`,
};

let order = "";

function show() {
  place.textContent = WRITERS[chosen("language")](order);
}

async function copy({ target }) {
  try {
    await navigator.clipboard.writeText(place.textContent);
    target.textContent = "Copied";
  } catch {
    // Without HTTPS, a browser has no clipboard for other machines than this one.
    getSelection().selectAllChildren(place);
    target.textContent = "Press Ctrl+C";
  }
  setTimeout(() => (target.textContent = "Copy"), 2000);
}

/** Show the code for another order. */
export function showCode(text) {
  order = text;
  show();
}

/** Let the switch choose the language, and the button copy the code. */
export function startCode() {
  onChoice("language", show);
  byId("copy").addEventListener("click", copy);
}
