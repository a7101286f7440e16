-- A bucket is its theoretical arrival time in nanoseconds since 1970, too large
-- for a Lua number and therefore read in two parts. What counts is how far it lies
-- ahead. That is exact up to 104 days, and beyond to the 256th part of a
-- microsecond.

-- ahead reads that distance; 0 if the time is past, or there is no bucket.
local function ahead(key)
  local text = redis.call('GET', key)
  if not text then return 0 end
  local s, n = match(text, '^(%d+)(%d%d%d%d%d%d%d%d%d)$')
  return max(0, (number(s, key) - now_s) * 1000000000 + tonumber(n) - now_us * 1000)
end

-- put writes it back. It expires when it is as good as none.
local function put(key, distance)
  local total = now_us * 1000 + distance
  local text = format('%.0f%09.0f', now_s + floor(total / 1000000000), floor(total % 1000000000))
  local ttl = distance / 1000000 + 1000
  redis.call('SET', key, text, 'PX', min(longest, ceil(ttl)))
end

