// Starts ReDoc. In a file of its own, because the page allows no inline script.
const place = document.getElementById("docs");
Redoc.init(place.dataset.document, { hideDownloadButton: false, disableSearch: false }, place);
