-- settle replaces what was reserved by what was spent.
-- KEYS: hold, accounts.
-- ARGV: end of the lease, for each account (terms, booked slot, booked amount,
--   actual amount).
-- Answers {0, time}: done, now or before; {2, time}: the caller has the time wrong;
-- {4, time}: the lease has run out.
local expires = arg()
local a, timely = {}, true
for i = 2, #KEYS do
  local x = terms(KEYS[i])
  x.booked, x.amount, x.actual = arg(), arg(), arg()
  a[#a + 1] = x
  timely = timely and x.timely
end
if now >= expires then
  redis.call('DEL', KEYS[1])
  return { 4, now }
end
if not timely then return { 2, now } end

-- 1 is reserved, 2 is settled. A record that is gone before its time was lost, by a
-- failover or a restart, and the booking with it: what was spent is booked anew.
local state = redis.call('GET', KEYS[1])
if state == '2' then return { 0, now } end
for _, x in ipairs(a) do
  x.over = state and x.actual - x.amount or x.actual
  if x.over > 0 then look(x) end
  if x.over < 0 then
    local text = redis.call('HGET', x.key, x.booked)
    x.left = text and max(0, number(text, x.key) + x.over)
  end
end
redis.call('SET', KEYS[1], 2, 'PX', min(longest, ceil((expires - now) / 1000) + 1000))
for _, x in ipairs(a) do
  if x.over > 0 then
    book(x, x.over)
    save(x)
  elseif x.left then
    redis.call('HSET', x.key, x.booked, x.left)
  end
end
return { 0, now }
