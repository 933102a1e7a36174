<?php
// Shows that Apache, PHP and MariaDB work together. `?format=json` answers a program. Replace it with your own page.
$answer = [
    'workspace' => getenv('WORKSPACE_NAME'),
    'owner' => getenv('WORKSPACE_OWNER'),
    'php' => PHP_VERSION,
];
try {
    $database = new PDO(
        sprintf('mysql:host=%s;port=%s;dbname=%s', getenv('DB_HOST'), getenv('DB_PORT'), getenv('DB_DATABASE')),
        getenv('DB_USERNAME'),
        getenv('DB_PASSWORD'),
        [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION],
    );
    [$answer['mariadb'], $answer['database'], $answer['time']] =
        $database->query('SELECT VERSION(), DATABASE(), NOW()')->fetch(PDO::FETCH_NUM);
} catch (PDOException $problem) {
    http_response_code(503);
    $answer['error'] = $problem->getMessage();
}
if (($_GET['format'] ?? '') === 'json') {
    header('Content-Type: application/json');
    echo json_encode($answer), "\n";
    exit;
}
?>
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title><?= htmlspecialchars($answer['workspace']) ?></title>
<h1><?= htmlspecialchars($answer['workspace']) ?> of <?= htmlspecialchars($answer['owner']) ?></h1>
<table>
<?php foreach ($answer as $name => $value): ?>
  <tr><th align="left"><?= htmlspecialchars($name) ?><td><?= htmlspecialchars((string) $value) ?>
<?php endforeach ?>
</table>
<p>Edit this file: <code><?= htmlspecialchars(__FILE__) ?></code></p>
