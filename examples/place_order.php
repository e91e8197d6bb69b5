<?php
$order = json_decode(file_get_contents('examples/order.json'));
$order->order_id = uniqid('ORD-'); // the same one again would be the same order, and send no second mail
$options = ['method' => 'POST', 'timeout' => 15, 'ignore_errors' => true]; // a failure's body is wanted too
$options['header'] = ['Content-Type: application/json', 'Authorization: Bearer ' . getenv('ORDERCONFIRM_API_KEY')];
$options['content'] = json_encode($order);
$url = (getenv('ORDERCONFIRM_URL') ?: 'http://localhost:8000') . '/api/order-confirmation';
$body = @file_get_contents($url, false, stream_context_create(['http' => $options]));
$answer = json_decode((string) $body, true);
if (($answer['status'] ?? '') !== 'success') {
    fwrite(STDERR, ($answer['detail'] ?? $answer['message'] ?? "The service does not answer at $url. $body") . "\n");
    foreach ($answer['errors'] ?? [] as $error) {
        fwrite(STDERR, "$error[pointer] $error[detail]\n");
    }
    exit(1);
}
echo "$answer[message]\n";
