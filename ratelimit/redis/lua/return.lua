-- return gives spare permits back that a replica has not used.
-- KEYS: buckets. ARGV: for each (interval in ns, permits).
local b = {}
for i = 1, #KEYS do
  b[i] = { key = KEYS[i], interval = arg(), permits = arg() }
  b[i].ahead = ahead(KEYS[i])
end
for _, x in ipairs(b) do
  if x.ahead > 0 then put(x.key, max(0, x.ahead - x.permits * x.interval)) end
end
return { 0, now }
