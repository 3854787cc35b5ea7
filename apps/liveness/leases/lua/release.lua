-- Take members out whose tokens are the registered ones; an empty token: those that have none.
-- KEYS: marks, tokens, starts. ARGV: member, token, and again for each further member.
-- For each: 1 done, 0 not there under this token.
local answers = {}
for index = 1, #ARGV, 2 do
    local member, token = ARGV[index], ARGV[index + 1]
    local answer = 0
    if (redis.call('HGET', KEYS[2], member) or '') == token then
        answer = redis.call('ZREM', KEYS[1], member)
        answer = math.max(answer, redis.call('HDEL', KEYS[2], member))
        redis.call('HDEL', KEYS[3], member)
    end
    answers[#answers + 1] = answer
end
return answers
