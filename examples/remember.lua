-- SPDX-License-Identifier: BSD-2-Clause
-- Results that are remembered as long as there is room: weak values, which a collection takes. Left to itself Lua
-- collects when its own memory has grown, whatever room there is; here that is stopped, and under the module it collects
-- when the heap is above `high`.
--
--     oomreclaim run --conf high:32M,modules:lua -- lua5.4 remember.lua
--
-- prints how often something was made anew, and the most that Lua had. It does without the library.
pcall(require, "oomreclaim")
collectgarbage("stop")

local remembered, made, most = setmetatable({}, {__mode = "v"}), 0, 0

local function page(number)
	local text = remembered[number]
	if not text then
		made = made + 1
		text = {(("%9d"):format(number)):rep(2000)}
		remembered[number] = text
	end
	return text[1]
end

for i = 1, 20000 do
	-- Low numbers more often.
	local number = math.min(math.random(5000), math.random(5000))
	assert(tonumber(page(number):sub(1, 9)) == number)
	most = math.max(most, collectgarbage("count"))
end
print(("%d made, at most %d MiB"):format(made, most // 1024))
