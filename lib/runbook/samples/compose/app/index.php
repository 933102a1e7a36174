<?php
$db = new PDO('mysql:host=' . getenv('DB_HOST') . ';dbname=app', 'app', getenv('DB_PASSWORD'));
echo 'PHP ' . PHP_VERSION . ' and MariaDB ' . $db->query('SELECT VERSION()')->fetchColumn() . " in containers\n";
