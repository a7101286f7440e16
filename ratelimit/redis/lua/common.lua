-- The server's clock is the only one that counts: replicas differ, and so may
-- the clocks of the machines they run on. Microseconds since 1970 are exact in a
-- Lua number.
local clock = redis.call('TIME')
local now_s, now_us = tonumber(clock[1]), tonumber(clock[2])
local now = now_s * 1000000 + now_us

-- No number is larger than this one, and none below it is rounded.
local most = 9007199254740991
-- A TTL that no server takes for an overflow: about a hundred years.
local longest = 3200000000000

local floor, ceil, min, max = math.floor, math.ceil, math.min, math.max
local find, match, format = string.find, string.match, string.format

local at = 0
local function arg()
  at = at + 1
  return tonumber(ARGV[at])
end

-- number reads what a key holds. Whatever else stands there was not written by
-- these scripts, and nobody guesses what it means.
local function number(text, key)
  local n = text and find(text, '^%d+$') and tonumber(text)
  if not n or n > most then error('CORRUPT value at ' .. key, 0) end
  return n
end

