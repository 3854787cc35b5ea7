-- How many members are in which condition. KEYS: marks, claims, meta. ARGV: stale after, orphan after.
-- Returns: members, later than the first, later than the second, claims, ms since the boot mark or -1.
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local function late(seconds)
    return redis.call('ZCOUNT', KEYS[1], '-inf', string.format('%.6f', now - tonumber(seconds)))
end
local boot = tonumber(redis.call('HGET', KEYS[3], 'boot') or nil)
return {
    redis.call('ZCARD', KEYS[1]), late(ARGV[1]), late(ARGV[2]), redis.call('ZCARD', KEYS[2]),
    boot and math.max(0, math.floor((now - boot) * 1000)) or -1,
}
