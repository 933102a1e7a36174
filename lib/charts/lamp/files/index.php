<?php
header('Content-Type: text/plain');
echo "ok from ", gethostname(), "\n";
