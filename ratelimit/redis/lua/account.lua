-- terms reads the arguments of one account. timely says whether its slot is the
-- present one: windows of the calendar are computed by the caller.
local function terms(key)
  local a = { key = key, c = arg(), start = arg(), stop = arg(), s = arg(), span = arg(), limit = arg() }
  a.timely = a.start <= now and now < a.stop
  return a
end

-- look reads an account and moves it on to the present slot.
local function look(a)
  a.slots, a.gone, a.debt, a.sum, a.changed = {}, {}, 0, 0, false
  local raw, last = redis.call('HGETALL', a.key), nil
  for i = 1, #raw, 2 do
    local n = number(raw[i + 1], a.key)
    if raw[i] == 'last' then last = n
    elseif raw[i] == 'debt' then a.debt = n
    else a.slots[number(raw[i], a.key)] = n end
  end
  last = last or a.c
  a.c = max(a.c, last) -- time never goes back
  local g = a.c - last
  if g > 0 then
    a.changed = true
    a.debt = max(0, a.debt - a.limit * max(0, floor(g / a.s) - 1))
  end
  for slot, amount in pairs(a.slots) do
    if slot <= a.c - a.s then
      a.gone[#a.gone + 1] = slot
      a.slots[slot] = nil
    else
      a.sum = a.sum + amount
    end
  end
  a.slots[a.c] = a.slots[a.c] or 0
  local move = min(a.debt, max(0, a.limit - a.sum))
  if move > 0 then
    a.changed = true
    a.slots[a.c], a.sum, a.debt = a.slots[a.c] + move, a.sum + move, a.debt - move
  end
  return a
end

-- book spends an amount, whatever the limit is: what there is room for in the
-- present slot, the rest as debt.
local function book(a, amount)
  local fits = min(amount, max(0, a.limit - a.sum))
  a.slots[a.c], a.sum = a.slots[a.c] + fits, a.sum + fits
  a.debt = min(most, a.debt + amount - fits)
  a.changed = true
end

-- save writes an account that look has read. It lives until it is as good as
-- none: everything has left the window and the debt is worked off.
local function save(a)
  if not a.changed then return end
  redis.call('HSET', a.key, 'last', a.c, 'debt', a.debt, a.c, a.slots[a.c])
  if #a.gone > 0 then redis.call('HDEL', a.key, unpack(a.gone)) end
  local ttl = (a.stop - now) / 1000 + a.span * (ceil(a.debt / a.limit) + 1) + 1000
  redis.call('PEXPIRE', a.key, min(longest, ceil(ttl)))
end

