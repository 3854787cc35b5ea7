-- Add up what a process counted. KEYS: the hash of counts; the list of denials; sorted sets of consumers.
-- ARGV: counts and denials (JSON); denials and consumers that are kept; for how long (s); then consumers (JSON).
for field, count in pairs(cjson.decode(ARGV[1])) do
    redis.call('HINCRBY', KEYS[1], field, count)
end
for _, denial in ipairs(cjson.decode(ARGV[2])) do
    redis.call('LPUSH', KEYS[2], denial)
end
redis.call('LTRIM', KEYS[2], 0, ARGV[3] - 1)
for index = 3, #KEYS do
    for subject, units in pairs(cjson.decode(ARGV[index + 3])) do
        redis.call('ZINCRBY', KEYS[index], units, subject)
    end
    redis.call('ZREMRANGEBYRANK', KEYS[index], 0, -ARGV[4] - 1)
    redis.call('EXPIRE', KEYS[index], ARGV[5])
end
return #KEYS
