-- Take a charge back. KEYS: the logs that were charged. ARGV: when, and how many units; then the window of each.
-- What is over already, or was forgotten, stays so.
local WRAP, AHEAD, TICKS = 2147483648, 1879048192, 64
local charged, units = tonumber(ARGV[1]), tonumber(ARGV[2])

for number, key in ipairs(KEYS) do
    local width = math.ceil(tonumber(ARGV[number + 2]) / TICKS)
    local newest = redis.call('LINDEX', key, -1)
    if newest and tonumber(newest) < WRAP then
        redis.call('LREM', key, -units, ARGV[1])
    elseif newest then
        -- In the first entry that ends at that time or later; if that is of a later tick, its own is gone.
        for index, entry in ipairs(redis.call('LRANGE', key, 0, -1)) do
            entry = tonumber(entry)
            local time = entry % WRAP
            if (time - charged) % WRAP < AHEAD then
                local left = (entry - time) / WRAP - units
                if math.floor(time / width) ~= math.floor(charged / width) then
                    break
                elseif left > 0 then
                    redis.call('LSET', key, index - 1, string.format('%.0f', left * WRAP + time))
                else
                    redis.call('LREM', key, 1, string.format('%.0f', entry))
                end
                break
            end
        end
    end
end
return #KEYS
