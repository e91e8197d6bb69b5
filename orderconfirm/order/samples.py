"""Sample orders that every template must render: minimal, complete, long, right-to-left and hostile ones.

The service checks its templates with them when it starts. The tests and the pictures in the documentation use them too.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from orderconfirm.order.models import Address, Adjustment, Customer, Item, Order

_ORDERED = datetime(2025, 3, 15, 14, 30, tzinfo=UTC)

SMALLEST = Order(
    order_id="1001",
    customer=Customer("Jo", "jo@example.com"),
    items=(Item("Tea", Decimal(1), Decimal("4.50")),),
    total=Decimal("4.50"),
    currency="USD",
    locale="en",
    order_date=_ORDERED,
)

TWO_LINES = Order(
    order_id="ORD-12345",
    customer=Customer("John Doe", "john.doe@example.com", "123 Main St, Anytown, USA", "+1 555-123-4567"),
    items=(
        Item("Wireless Headphones", Decimal(1), Decimal("79.99"), product_id="PROD-001"),
        Item("Phone Case", Decimal(2), Decimal("19.99"), product_id="PROD-002"),
    ),
    total=Decimal("119.97"),
    currency="USD",
    locale="en",
    order_date=_ORDERED,
    shipping_method="Express",
    estimated_delivery=datetime(2025, 3, 20, tzinfo=UTC),
)

FULL = Order(
    order_id="R-100482",
    customer=Customer("Anna Björk", "anna@example.com", phone="+46 8 123 456"),
    items=(
        Item(
            "Wool blanket",
            Decimal(1),
            Decimal("89.00"),
            variant="Moss green, 130 × 180 cm",
            sku="WB-130-MG",
            image_url="https://shop.example/blanket.jpg",
            url="https://shop.example/blanket",
        ),
        Item("Linen napkins", Decimal(4), Decimal("12.50"), variant="Natural", image_url="https://shop.example/n.jpg"),
        Item("Loose tea, first flush", Decimal("0.25"), Decimal("68.00"), sku="TEA-FF"),
    ),
    total=Decimal("151.95"),
    currency="EUR",
    locale="en",
    order_date=_ORDERED,
    shipping_method="Parcel locker",
    estimated_delivery=datetime(2025, 3, 20, tzinfo=UTC),
    subtotal=Decimal("156.00"),
    discount=Decimal("15.60"),
    shipping_cost=Decimal("5.95"),
    tax=Decimal("10.60"),
    adjustments=(Adjustment("Gift wrap", Decimal("5.00")), Adjustment("Gift card ••42", Decimal("-10.00"))),
    billing_address=Address(("Björk Design AB", "Storgatan 1"), "Stockholm", "111 22", "Sweden"),
    shipping_address=Address(("Anna Björk", "Vasagatan 7, 3 tr"), "Stockholm", "111 20", "Sweden"),
    payment_method="Visa ending in 4242",
    order_url="https://shop.example/orders/R-100482",
    invoice_url="https://shop.example/orders/R-100482/invoice.pdf",
    withdrawal_url="https://shop.example/withdraw/R-100482",
    notes="Please leave the parcel with the neighbours at number 9.\nThank you!",
    custom={"gift_note": "Happy birthday, Mum!"},
)

LONG = replace(
    FULL,
    order_id="R-100483",
    items=tuple(Item(f"Enamel mug no. {number}", Decimal(1), Decimal("9.00")) for number in range(1, 201)),
    subtotal=Decimal("1800.00"),
    discount=None,
    adjustments=(),
    tax=None,
    shipping_cost=None,
    total=Decimal("1800.00"),
)

TAX_INCLUDED = replace(
    TWO_LINES,
    order_id="R-100485",
    items=(Item("Wireless Headphones", Decimal(1), Decimal("79.99"), line_total=Decimal("69.99")), TWO_LINES.items[1]),
    subtotal=Decimal("119.97"),
    discount=Decimal("10.00"),
    tax=Decimal("17.56"),
    tax_included=True,
    tax_label="VAT 19%",
    shipping_cost=Decimal(0),
    total=Decimal("113.00"),
    currency="EUR",
    shipping_address=Address(("John Doe", "123 Main St"), "Springfield", "62704", "US", "IL"),
)

RIGHT_TO_LEFT = replace(
    FULL,
    order_id="R-100484",
    customer=Customer("محمد العلي", "m@example.com", phone="+971 4 123 4567"),
    items=(
        Item("سماعات لاسلكية", Decimal(2), Decimal("299.00"), variant="أسود", image_url="https://shop.example/h.jpg"),
        Item("USB-C cable 2 m", Decimal(1), Decimal("39.50"), sku="CBL-2M"),
    ),
    currency="AED",
    locale="ar",
    subtotal=Decimal("637.50"),
    discount=Decimal("63.75"),
    shipping_cost=Decimal("15.00"),
    tax=Decimal("29.44"),
    adjustments=(),
    total=Decimal("618.19"),
    shipping_method="توصيل سريع",
    payment_method="بطاقة ••4242",
    billing_address=None,
    shipping_address=Address(("شارع الشيخ زايد 12",), "دبي", None, "AE"),
    notes="اتصل قبل الوصول",
)

HOSTILE = replace(
    TWO_LINES,
    order_id="</script><b>{{ 7*7 }}%s&amp;",
    customer=Customer('Robert"); <script>alert(1)</script> {% raw %}', "r@example.com", "line one\nline two", "<b>"),
    items=(
        Item(
            "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaftsmitte",
            Decimal(1),
            Decimal(1),
        ),
        Item(
            "名探偵コナン 特装版 第百二巻 限定小冊子付き",
            Decimal("123456.789"),
            Decimal("1234567.89"),
            variant="<img src=x onerror=alert(1)>",
        ),
        Item('👨‍👩‍👧‍👦 family & friends\' "pack" {{ order }}', Decimal(3), Decimal(0), sku="%(sku)s"),
    ),
    total=Decimal("152415787502.91"),
    currency="INR",
    notes="'\"><svg/onload=alert(1)>\u202eevil\n-- \nBcc: x@example.com",
    shipping_method="Ex\u200bpress",
)

SAMPLES = {
    "smallest": SMALLEST,
    "two lines": TWO_LINES,
    "full": FULL,
    "long": LONG,
    "tax included": TAX_INCLUDED,
    "right to left": RIGHT_TO_LEFT,
    "hostile": HOSTILE,
}
