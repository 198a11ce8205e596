-- SPDX-License-Identifier: BSD-2-Clause
-- lua.lua SECONDS: more garbage than the watermark `high`, with a collector that is stopped, then with one that is
-- slow. "collected" if all of it went within the seconds, and what is in use stayed what it is.
local seconds = tonumber(...)

local kept, threads = {}, {}
for i = 1, 2000 do
	kept[i] = {("x"):rep(i % 300) .. i, function() return i end, {i, i * 2}, [i] = {}}
end
for i = 1, 50 do
	threads[i] = coroutine.wrap(function()
		for j = 1, math.huge do
			coroutine.yield(table.concat({i, j}, ":") .. ("y"):rep(100 * (j % 20)))
		end
	end)
end

local function check(round)
	for i, entry in ipairs(kept) do
		assert(entry[1] == ("x"):rep(i % 300) .. i and entry[2]() == i and entry[3][2] == i * 2 and entry[i])
	end
	for i, thread in ipairs(threads) do
		assert(thread() == i .. ":" .. round .. ("y"):rep(100 * (round % 20)))
	end
	-- Buffers that grow by the allocator itself, for which nobody collects.
	for i = 1, 200 do
		assert(#("y"):rep(2000 + i) == 2000 + i)
	end
	local words = {}
	for i = 1, 2000 do
		words[i] = ("%05d"):format(i):rep(20)
	end
	local text = table.concat(words)
	assert(#text == 200000 and text:sub(-5) == "02000" and #text:gsub("0", "zero") > 400000)
end

-- What goes is seen by a weak reference; what is collected after that does not count.
local function is_collected(round)
	local weak = setmetatable({{}}, {__mode = "v"})
	local garbage = {}
	-- By buffers, too: every third request is for one.
	for i = 1, 20000 do
		garbage[i] = ("z"):rep(2000) .. i
	end
	garbage = nil
	local deadline = os.time() + seconds
	while weak[1] do
		if os.time() > deadline then
			return false
		end
		check(round)
		round = round + 1
	end
	return true, round
end

local round, is_right = 1, true
for _, setting in ipairs {"stop", "setpause", "stop", "generational"} do
	if setting == "setpause" then
		collectgarbage("restart")
		collectgarbage("setpause", 1000)
	elseif setting == "stop" then
		collectgarbage("stop")
	elseif _VERSION == "Lua 5.4" then
		collectgarbage("generational", 100, 1000)
	end
	is_right, round = is_collected(round)
	if not is_right then
		print("not collected: " .. setting)
		return
	end
end
check(round)
print("collected")
