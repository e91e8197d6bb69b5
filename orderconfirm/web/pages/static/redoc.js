// Starts ReDoc. In a file of its own, because the page allows no inline script.
import { init } from "./vendor/redoc-3.0.1/redoc.standalone.js";

const place = document.getElementById("docs");
init(place.dataset.document, { disableTelemetry: true }, place);
