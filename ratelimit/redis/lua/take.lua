-- take decides about one call.
-- KEYS: hold, buckets, accounts.
-- ARGV: not after, overdraw, lease in ms, count of buckets, for each bucket
--   (interval in ns, burst, permits needed: 0 or 1, spare permits wanted), for
--   each account (terms, amount).
-- Answers {0 or 3, time, spare permits.., (slot, level)..} and, if 3, for each
-- account (debt, count, (slot, amount)..); {1, time, waits in ns..} if buckets
-- refuse; {2, time} if the caller has the time wrong.
local not_after, overdraw, lease, buckets = arg(), arg() == 1, arg(), arg()

local b, refused, waits = {}, false, { 1, now }
for i = 1, buckets do
  local x = { key = KEYS[1 + i], interval = arg(), burst = arg(), need = arg(), want = arg() }
  b[i] = x
end
local a, timely = {}, not_after == 0 or now <= not_after
for i = 1, #KEYS - 1 - buckets do
  a[i] = terms(KEYS[1 + buckets + i])
  a[i].amount = arg()
  timely = timely and a[i].timely
end
if not timely then return { 2, now } end

for i, x in ipairs(b) do
  x.ahead = ahead(x.key)
  local early = x.need > 0 and x.ahead - (x.burst - 1) * x.interval or 0
  refused = refused or early > 0
  waits[2 + i] = max(0, early)
  -- A replica gets spare permits while there is plenty: a fiftieth of what is left.
  local left = floor(x.burst - x.need - x.ahead / x.interval)
  x.spare = max(0, min(x.want, floor(left / 50)))
end
if refused then return waits end

local pass = true
for _, x in ipairs(a) do
  look(x)
  pass = pass and (overdraw or x.sum + x.debt + x.amount <= x.limit)
end

local answer = { pass and 0 or 3, now }
for _, x in ipairs(b) do
  if x.need + x.spare > 0 then put(x.key, x.ahead + (x.need + x.spare) * x.interval) end
  answer[#answer + 1] = x.spare
end
for _, x in ipairs(a) do
  if pass then book(x, x.amount) end
  save(x)
  answer[#answer + 1] = x.c
  answer[#answer + 1] = min(most, x.sum + x.debt)
end
if pass then
  if #a > 0 and not overdraw then redis.call('SET', KEYS[1], 1, 'PX', min(longest, lease + 1000)) end
  return answer
end
for _, x in ipairs(a) do
  local count = #answer + 2
  answer[count - 1], answer[count] = x.debt, 0
  for slot, amount in pairs(x.slots) do
    answer[count] = answer[count] + 1
    answer[#answer + 1] = slot
    answer[#answer + 1] = amount
  end
end
return answer
