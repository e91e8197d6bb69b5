// Starts ReDoc. In a separate file, because the page allows no inline scripts.
import { init } from "./vendor/redoc-3.0.1/redoc.standalone.js";

const place = document.getElementById("docs");
init(place.dataset.document, { disableTelemetry: true }, place);
