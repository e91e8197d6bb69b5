"""The renderer of each shop. Shops with the same templates share the compiled ones: compiling takes long."""

from __future__ import annotations

from orderconfirm.errors import TemplateError
from orderconfirm.mail.renderer import MailRenderer
from orderconfirm.settings import Settings
from orderconfirm.shops import Shops


class ShopRenderers:
    """The renderer of each shop by its name."""

    def __init__(self, settings: Settings, shops: Shops) -> None:
        """Compile the templates of all shops and check them with every sample order. Raises TemplateError."""
        self._default = MailRenderer(settings, settings.template_folders)
        compiled = {_key(settings): self._default}
        self._renderers: dict[str, MailRenderer] = {}
        for name, profile in shops.profiles.items():
            key = _key(profile.settings)
            if key not in compiled:
                compiled[key] = MailRenderer(profile.settings, profile.settings.template_folders)
            try:
                self._renderers[name] = compiled[key].for_shop(profile.settings)
            except TemplateError as exc:
                raise TemplateError(f"shop {name}: {exc}") from exc

    def __getitem__(self, shop: str) -> MailRenderer:
        return self._renderers.get(shop, self._default)


def _key(settings: Settings) -> tuple[str, str]:
    return settings.templates_dir, settings.default_locale
