// Starts Swagger UI. In a separate file, because the page allows no inline scripts.
const place = document.getElementById("docs");
SwaggerUIBundle({ domNode: place, url: place.dataset.document, deepLinking: true, validatorUrl: null });

const darkness = matchMedia("(prefers-color-scheme: dark)");
const applyScheme = () => document.documentElement.classList.toggle("dark-mode", darkness.matches);
darkness.addEventListener("change", applyScheme);
applyScheme();
