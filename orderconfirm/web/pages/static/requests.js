// Requests of the compose page. The service accepts them with the page's token instead of a key.

const TIMEOUT = 30_000;
// Pages of other sites can neither read the token nor send the header.
const TOKEN = { "X-CSRFToken": document.querySelector('meta[name="csrf-token"]').content };

const unreadable = (status) => ({
  title: `HTTP ${status}`,
  detail: "The response is not JSON, so it did not come from this service.",
});
const NO_RESPONSE = {
  title: "No response",
  detail: `The service at ${location.host} did not respond. Is it running? Sending the same order again is safe.`,
};

/** Return the status, the text and the JSON of a response. Without a response the status is 0; null if aborted. */
export async function request(url, options, signal) {
  const signals = [AbortSignal.timeout(TIMEOUT), ...(signal ? [signal] : [])];
  try {
    const response = await fetch(url, { ...options, signal: AbortSignal.any(signals), headers: { ...options.headers, ...TOKEN } });
    const text = await response.text();
    const { status, ok } = response;
    const retryAfter = Number(response.headers.get("Retry-After"));
    try {
      return { status, ok, text, retryAfter, body: JSON.parse(text) };
    } catch {
      return { status, ok: false, text, retryAfter, body: unreadable(status) };
    }
  } catch {
    return signal?.aborted ? null : { status: 0, ok: false, text: "", body: NO_RESPONSE };
  }
}

/** Post JSON text. */
export const post = (url, body, signal) =>
  request(url, { method: "POST", headers: { "content-type": "application/json" }, body }, signal);
