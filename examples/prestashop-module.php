<?php
// PrestaShop 1.7 to 9: copy to modules/orderconfirm/orderconfirm.php, install the module, and set ORDERCONFIRM_URL (the
// webhook of your shop's profile, like https://mail.example/api/webhooks/orders/fjord) and ORDERCONFIRM_WEBHOOK_SECRET
// (whsec_…) in the environment of PHP.

if (!defined('_PS_VERSION_')) {
    exit;
}

class OrderConfirm extends Module
{
    public function __construct()
    {
        $this->name = 'orderconfirm';
        $this->version = '1.0.0';
        $this->author = 'orderconfirm';
        parent::__construct();
        $this->displayName = 'Order confirmations by orderconfirm';
    }

    public function install()
    {
        return parent::install() && $this->registerHook('actionValidateOrder');
    }

    public function hookActionValidateOrder(array $params)
    {
        [$order, $customer] = [$params['order'], $params['customer']];
        $to = new Address($order->id_address_delivery);
        $this->post([
            'order_id' => (string) $order->id,
            'number' => $order->reference,
            'customer' => ['name' => "$customer->firstname $customer->lastname", 'email' => $customer->email],
            'currency' => $params['currency']->iso_code,
            'locale' => Language::getIsoById($order->id_lang),
            'items' => array_map(fn ($line) => [
                'name' => $line['product_name'],
                'sku' => $line['product_reference'],
                'quantity' => (int) $line['product_quantity'],
                'price' => self::money($line['unit_price_tax_incl']),
                'line_total' => self::money($line['total_price_tax_incl']),
            ], array_values($order->getProducts())),
            'discount' => self::money($order->total_discounts_tax_incl),
            'shipping_cost' => self::money($order->total_shipping_tax_incl),
            'tax' => self::money($order->total_paid_tax_incl - $order->total_paid_tax_excl),
            'tax_included' => true,
            'total' => self::money($order->total_paid_tax_incl),
            'payment_method' => $order->payment,
            'shipping_address' => [
                'lines' => array_values(array_filter(["$to->firstname $to->lastname", $to->company, $to->address1, $to->address2])),
                'city' => $to->city,
                'postcode' => $to->postcode,
                'country' => Country::getIsoById($to->id_country),
            ],
        ]);
    }

    private static function money($amount): string
    {
        return number_format((float) $amount, 2, '.', '');
    }

    private function post(array $order)
    {
        [$body, $id, $time] = [json_encode($order), bin2hex(random_bytes(16)), time()];
        $key = base64_decode(substr(getenv('ORDERCONFIRM_WEBHOOK_SECRET'), strlen('whsec_')));
        $signature = base64_encode(hash_hmac('sha256', "$id.$time.$body", $key, true));
        $request = curl_init(getenv('ORDERCONFIRM_URL'));
        curl_setopt_array($request, [
            CURLOPT_POSTFIELDS => $body,
            CURLOPT_HTTPHEADER => ['content-type: application/json', "webhook-id: $id", "webhook-timestamp: $time",
                "webhook-signature: v1,$signature"],
            CURLOPT_RETURNTRANSFER => true,
            CURLOPT_TIMEOUT => 5, // the customer waits for it
        ]);
        curl_exec($request);
        if (curl_getinfo($request, CURLINFO_RESPONSE_CODE) !== 200) {
            PrestaShopLogger::addLog("orderconfirm did not take the order {$order['order_id']}", 3);
        }
    }
}
