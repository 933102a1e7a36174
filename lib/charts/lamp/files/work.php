<?php
// Uses CPU: n rounds of a hash, at most a million. What a page of your own costs is measured the same way.
$n = max(1, min(1000000, (int) ($_GET['n'] ?? 20000)));
$hash = '';
for ($i = 0; $i < $n; $i++) {
    $hash = md5($hash . $i);
}
header('Content-Type: text/plain');
echo $hash, " from ", gethostname(), "\n";
