// SPDX-License-Identifier: BSD-2-Clause
// node.js COUNT: buffers, which are malloc's, beside objects, which are the engine's own.
'use strict';

const zlib = require('zlib');

const count = Number(process.argv[2]);
let kept = [];
let sum = 0;

for (let turn = 0; turn < count; turn++) {
	const rows = [];
	for (let i = 0; i < 4000; i++)
		rows.push({ id: i, name: 'user ' + ((i * 7919) % 10007), list: [i, i + 1, turn] });
	const text = JSON.stringify(rows);
	const packed = zlib.deflateSync(Buffer.from(text), { level: 1 });
	const back = JSON.parse(zlib.inflateSync(packed).toString());

	sum += back.length;
	kept.push(packed);
	for (let i = 0; i < 50; i++)
		kept.push(Buffer.alloc(8192 + ((i * 997) % 40000), i));
	if (kept.length > 500)
		kept = kept.slice(250);
}
if (sum !== 4000 * count)
	throw new Error('rows are missing');
