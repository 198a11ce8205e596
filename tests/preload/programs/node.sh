#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# node: V8 maps its own heap; buffers, zlib, crypto and every thread's C++ side come from malloc()
# and operator new.
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"

# Debian's package, or one from elsewhere.
need node

cat >work.js <<'JS'
'use strict';
const crypto = require('crypto');
const zlib = require('zlib');
const {Worker, isMainThread, parentPort, workerData} = require('worker_threads');

const hash = (data) => crypto.createHash('sha256').update(data).digest('hex');

function records(count) {
	const list = [];
	for (let i = 0; i < count; i++) {
		const tags = [i % 7, i % 11, 'x'.repeat(i % 13)];
		list.push({id: i, name: `record ${i * 7919 % count}`, tags});
	}
	return list;
}

function work(seed) {
	const text = JSON.stringify(records(20000 + seed));
	const packed = zlib.deflateSync(text, {level: 6});
	const again = JSON.parse(zlib.inflateSync(packed).toString());
	const key = crypto.pbkdf2Sync('password', `salt ${seed}`, 1000, 32, 'sha512');
	const cipher = crypto.createCipheriv('aes-256-ctr', key, Buffer.alloc(16, seed));
	const sealed = Buffer.concat([cipher.update(text), cipher.final()]);
	return [seed, again.length, text.length, hash(text), hash(sealed)].join(' ');
}

if (!isMainThread) {
	parentPort.postMessage(work(workerData));
} else {
	const run = (seed) => new Promise((resolve, reject) => {
		const worker = new Worker(__filename, {workerData: seed});
		let answer;
		worker.on('message', (message) => { answer = message; });
		worker.on('error', reject);
		worker.on('exit', (status) => {
			if (status === 0)
				resolve(answer);
			else
				reject(new Error(`status ${status}`));
		});
	});
	(async () => {
		console.log(work(0));
		for (let round = 0; round < 3; round++) {
			const four = [1, 2, 3, 4].map((n) => run(round * 4 + n));
			for (const line of await Promise.all(four))
				console.log(line);
		}
		const buffers = [];
		for (let i = 0; i < 3000; i++) {
			buffers.push(Buffer.alloc(1 + i * 37 % 90000, i));
			if (i % 3 === 0)
				buffers[i >> 1] = null;
		}
		console.log(hash(Buffer.concat(buffers.filter((b) => b !== null))));
	})();
}
JS
compare workers node work.js

# By the process title: node renames its threads, not the program.
witnessed node
