<?php
// A shop that counts the requests of each session, as PHP applications without cookies do it: PHP itself
// writes the session id into the links and forms of the page (session.use_trans_sid).
session_start();
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
if ($path === '/login' && $_SERVER['REQUEST_METHOD'] === 'POST') {
    // Against session fixation: from here on the session has another id.
    session_regenerate_id(true);
    $_SESSION['user'] = $_POST['user'];
}
$_SESSION['count'] = ($_SESSION['count'] ?? 0) + 1;
header('X-Backend: ' . getenv('SHOP_NAME'));
header('X-Count: ' . $_SESSION['count']);
header('X-User: ' . ($_SESSION['user'] ?? 'nobody'));
if ($path === '/login') {
    // PHP leaves redirects to the application.
    header('Location: /account?' . SID, true, 303);
    exit;
}
?>
<!DOCTYPE html>
<title>Shop</title>
<a href="/item?number=7">an item</a>
<form action="/cart" method="post"><input name="number" value="7"></form>
<form action="/login" method="post"><input name="user" value="ann"></form>
