// Starts Swagger UI. In a separate file, because the page allows no inline scripts.
const place = document.getElementById("docs");
SwaggerUIBundle({ domNode: place, url: place.dataset.document, deepLinking: true, validatorUrl: null });
