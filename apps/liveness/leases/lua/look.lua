-- What is known of members. KEYS: marks, tokens, claims. ARGV: member, token, and again for each further one.
-- Returns the time, then for each: the registered token, the last beat, and 1 where the token given is claimed.
local time = redis.call('TIME')
local answers = {time[1] .. '.' .. string.format('%06d', time[2])}
for index = 1, #ARGV, 2 do
    local member = ARGV[index]
    answers[#answers + 1] = redis.call('HGET', KEYS[2], member) or ''
    answers[#answers + 1] = redis.call('ZSCORE', KEYS[1], member) or ''
    answers[#answers + 1] = redis.call('ZSCORE', KEYS[3], ARGV[index + 1] .. '|' .. member) and 1 or 0
end
return answers
