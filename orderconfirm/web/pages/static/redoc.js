// Starts ReDoc. In a file of its own, because the page allows no inline script.
import { init } from "../docs/assets/redoc.standalone.js";

const place = document.getElementById("docs");
init(place.dataset.document, { disableTelemetry: true }, place);
