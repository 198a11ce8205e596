#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# PHP opens its extensions with RTLD_DEEPBIND: strings, arrays, JSON, regular expressions and
# processes, with all extensions that are installed.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"

need php

# PHP's own variables.
# shellcheck disable=SC2016
compare extensions php -r 'foreach (get_loaded_extensions() as $name) echo $name, " ", phpversion($name), "\n";'
compare bare php -n -r 'echo strrev("oomreclaim"), "\n";'

cat >work.php <<'PHP'
<?php
$words = [];
for ($i = 0; $i < 200000; $i++)
	$words[substr(md5((string)$i), 0, 4)][] = str_repeat(chr(97 + $i % 26), $i % 50);
ksort($words);
$text = json_encode($words);
echo count($words), " ", strlen($text), " ", md5($text), "\n";
echo md5(preg_replace_callback('/"([a-c]+)"/', fn($m) => strtoupper($m[1]), $text)), "\n";
echo md5(serialize(json_decode($text, true))), "\n";
if (extension_loaded('dom')) {
	$document = new DOMDocument();
	$root = $document->appendChild($document->createElement('words'));
	foreach (array_slice($words, 0, 1000) as $word => $list)
		$root->appendChild($document->createElement('word', (string)$word));
	echo md5($document->saveXML()), "\n";
}
if (extension_loaded('pdo_sqlite')) {
	$database = new PDO('sqlite::memory:');
	$database->exec('create table words(word, count)');
	$insert = $database->prepare('insert into words values(?, ?)');
	foreach ($words as $word => $list)
		$insert->execute([$word, count($list)]);
	echo $database->query('select sum(count) from words')->fetchColumn(), "\n";
}
if (function_exists('pcntl_fork'))
	for ($child = 0; $child < 4; $child++) {
		$pid = pcntl_fork();
		if ($pid === 0) {
			$words = array_reverse($words);
			exit(strlen(json_encode($words)) === strlen($text) ? $child : 100);
		}
		pcntl_waitpid($pid, $status);
		echo pcntl_wexitstatus($status), "\n";
	}
PHP
compare work php work.php

witnessed php
