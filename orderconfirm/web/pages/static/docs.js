// Starts Swagger UI. In a file of its own, because the page allows no inline script.
const place = document.getElementById("docs");
SwaggerUIBundle({ domNode: place, url: place.dataset.document, deepLinking: true, validatorUrl: null });
