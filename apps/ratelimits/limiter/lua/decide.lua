-- Ask several limits at once, and charge all of them or none.
--
-- KEYS: where the version of the rules is; then the log of each limit. All are in one slot of a cluster.
-- ARGV: the cost; 1 to charge, 0 to look only; then for each limit: how many, window (ms), flags.
-- Flags: 1 = it is counted and never denies; 2 = in ticks.
-- Answers: version, whether all that deny have room, the time of the charge; then for each limit what is left
-- (after the charge, if there was one; less than nothing where the limit was lowered), and milliseconds: until
-- the oldest charge ends where the cost fits; where it does not, -1 less those until it does, or -1: never.
--
-- A log is a list, oldest first, of times in milliseconds modulo 2^31; one for each unit charged. In ticks
-- an entry is count * 2^31 + time: charges of one 64th of the window are one entry, at the time of the last.
local WRAP, AHEAD = 2147483648, 1879048192
local TICKS, LONGEST_LOG, CHUNK = 64, 1000, 1000
local call, floor = redis.call, math.floor

local clock = redis.call('TIME')
local now = (clock[1] * 1000 + floor(clock[2] / 1000)) % WRAP
local cost, charging = tonumber(ARGV[1]), ARGV[2] == '1'

-- Milliseconds since a time. One that is ahead of the clock, which may have been set back, is now.
local function age(time)
    local passed = (now - time) % WRAP
    if passed > AHEAD then
        return 0
    end
    return passed
end

-- How many entries at the head of a log are over, given the oldest; and the oldest that is not.
local function over(key, oldest, window)
    if age(oldest) <= window then
        return 0, oldest
    end
    local dead, size = 1, 16
    while true do
        local page = call('LRANGE', key, dead, dead + size - 1)
        for _, time in ipairs(page) do
            if age(time) <= window then
                return dead, tonumber(time)
            end
            dead = dead + 1
        end
        if #page < size then
            return dead, nil
        end
        size = math.min(4 * size, CHUNK)
    end
end

-- The entries of a list in either form after those at its head that are over; the units that they hold; and
-- how many are over.
local function entries(key, window)
    local found, count, units, dead = call('LRANGE', key, 0, -1), 0, 0, 0
    for index, entry in ipairs(found) do
        entry = entry + 0
        if count == 0 and age(entry % WRAP) > window then
            dead = dead + 1
        else
            count = count + 1
            found[count] = entry
            units = units + (entry < WRAP and 1 or floor(entry / WRAP))
        end
        if index > count then
            found[index] = nil
        end
    end
    return found, units, dead
end

local function append(key, values)
    for first = 1, #values, CHUNK do
        call('RPUSH', key, unpack(values, first, math.min(first + CHUNK - 1, #values)))
    end
end

local function replace(key, values)
    call('DEL', key)
    append(key, values)
end

local function text(entry)
    return string.format('%.0f', entry)
end

-- Add units to entries in ticks, which are changed.
local function add(found, time, units, width)
    local last = found[#found]
    if last then
        local before = last % WRAP
        if floor(before / width) == floor(time / width) then
            if (time - before) % WRAP > AHEAD then
                time = before
            end
            found[#found] = last - before + time + units * WRAP
            return false
        end
    end
    found[#found + 1] = units * WRAP + time
    return true
end

-- Times that are more than a second ahead are as old as now from here on: a clock that was set back keeps
-- nobody out for longer than a window. The newest is the last, as long as this comes before every charge.
-- Returns whether there were any.
local function set_back(key, window)
    local passed = (now - call('LINDEX', key, -1) % WRAP) % WRAP
    if passed <= AHEAD or WRAP - passed <= 1000 then
        return false
    end
    local values = call('LRANGE', key, 0, -1)
    for index, entry in ipairs(values) do
        entry = tonumber(entry)
        local time = entry % WRAP
        if (now - time) % WRAP > AHEAD then
            entry = entry - time + now
        end
        values[index] = text(entry)
    end
    replace(key, values)
    call('PEXPIRE', key, window + 2)
    return true
end

local answer = { call('GET', KEYS[1]) or '', 1, now }
local seen = {}

for index = 1, #KEYS - 1 do
    local key, limit, window = KEYS[index + 1], tonumber(ARGV[3 * index]), tonumber(ARGV[3 * index + 1])
    local flags = tonumber(ARGV[3 * index + 2])
    -- All of it at once: a table that grows costs more.
    local one = {
        key = key, limit = limit, window = window, ticks = flags >= 2,
        live = 0, dead = 0, plain = false, full = false, entries = false,
    }
    local oldest = call('LINDEX', key, 0)
    if oldest and charging and set_back(key, window) then
        oldest = call('LINDEX', key, 0)
    end
    oldest = oldest and tonumber(oldest)
    local wait = 0
    if oldest and oldest < WRAP then
        one.dead, oldest = over(key, oldest, window)
        one.live = call('LLEN', key) - one.dead
        one.plain = true
        if one.live + cost > limit and cost <= limit then
            local blocking = call('LINDEX', key, one.dead + one.live + cost - limit - 1)
            wait = window - age(blocking) + 1
        end
    elseif oldest then
        one.entries, one.live, one.dead = entries(key, window)
        oldest = one.entries[1] and one.entries[1] % WRAP
        if one.live + cost > limit and cost <= limit then
            local room = limit - one.live
            for _, entry in ipairs(one.entries) do
                local time = entry % WRAP
                room = room + (entry - time) / WRAP
                if room >= cost then
                    wait = window - age(time) + 1
                    break
                end
            end
        end
    end
    if one.live + cost > limit then
        one.full = true
        if flags % 2 == 0 then
            answer[2] = 0
        end
        wait = cost > limit and -1 or -1 - wait
    elseif one.live > 0 then
        wait = window - age(oldest) + 1
    end
    seen[index] = one
    answer[2 * index + 2] = limit - one.live
    answer[2 * index + 3] = wait
end

if answer[2] == 0 or not charging then
    return answer
end

for index, one in ipairs(seen) do
    if not one.full then
        local key, window = one.key, one.window
        if one.live == 0 and one.plain then
            call('DEL', key)
        end
        if one.plain and one.live > 0 and one.dead > 0 and not one.ticks then
            call('LTRIM', key, one.dead, -1)
        end
        if cost == 1 and not one.ticks and not one.entries then
            call('RPUSH', key, now)
        elseif one.ticks then
            local width = math.ceil(window / TICKS)
            if one.entries then
                if one.dead > 0 then
                    call('LTRIM', key, one.dead, -1)
                end
                if add(one.entries, now, cost, width) then
                    call('RPUSH', key, text(one.entries[#one.entries]))
                else
                    call('LSET', key, -1, text(one.entries[#one.entries]))
                end
            else
                -- The limit was such that each charge had its own entry.
                local merged = {}
                if one.live > 0 then
                    for _, time in ipairs((entries(key, window))) do
                        add(merged, time, 1, width)
                    end
                end
                add(merged, now, cost, width)
                for position, entry in ipairs(merged) do
                    merged[position] = text(entry)
                end
                replace(key, merged)
            end
        elseif one.entries and one.live + cost > LONGEST_LOG then
            -- The limit was lowered, and what was charged before is too much for single entries.
            add(one.entries, now, cost, 1)
            for position, entry in ipairs(one.entries) do
                one.entries[position] = text(entry)
            end
            replace(key, one.entries)
        else
            local values = {}
            if one.entries then
                for _, entry in ipairs(one.entries) do
                    local time = entry % WRAP
                    for _ = 1, (entry - time) / WRAP do
                        values[#values + 1] = time
                    end
                end
                call('DEL', key)
            end
            for _ = 1, cost do
                values[#values + 1] = now
            end
            append(key, values)
        end
        call('PEXPIRE', key, window + 2)
        answer[2 * index + 2] = one.limit - one.live - cost
        if one.live == 0 then
            answer[2 * index + 3] = window + 1
        end
    end
end
return answer
