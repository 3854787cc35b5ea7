-- Renew the marks of members whose tokens are the registered ones.
-- KEYS: marks, tokens, meta. ARGV: member, token, and again for each further member.
-- For each: 1 beating, 0 register again, -1 fenced.
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local answers = {}
for index = 1, #ARGV, 2 do
    local member, token = ARGV[index], ARGV[index + 1]
    local registered = redis.call('HGET', KEYS[2], member)
    local answer = -1
    if registered == token then
        redis.call('ZADD', KEYS[1], now, member)
        answer = 1
    elseif registered then
        -- A later token than the registered one never arrived here.
        if tonumber(registered) < tonumber(token) then answer = 0 end
    elseif redis.call('HEXISTS', KEYS[3], 'boot') == 0 then
        answer = 0
    end
    answers[#answers + 1] = answer
end
return answers
