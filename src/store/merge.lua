-- Merges facts into one person's hash (consent/record.h describes the fields).
--
-- KEYS[1]  the person
-- ARGV     three for each fact:
--            list name, or "" for the person as a whole
--            letter and time, "g1764000000000"
--            the evidence field for that grant, or ""
--
-- Of two times of a kind the later stays, so facts may come in any order and
-- as often as one likes.  Of two evidence fields the one of the later grant
-- stays, at equal times the greater bytes.  Evidence of a grant that is not
-- later than the person's erasure is forgotten: it may name the person.
--
-- All is read and checked before anything is written, in one HSET.  A field
-- that can't be read is an error and stays as it is: it may be the only trace
-- of a withdrawal.
local TIME_MAX = 253402300799999
local LETTERS = { list = 'gcwu', person = 'woerl' }

local function fail(what)
  error('BADRECORD ' .. what .. " that can't be read", 0)
end

-- Times as numbers (exact, for they are far below 2^53), or nil.
local function time_of(digits)
  local n = tonumber(digits)
  if n and n >= 1 and n <= TIME_MAX and string.byte(digits) ~= 48 then
    return n
  end
end

local function format(digits, letters)
  local out = {}
  for i = 1, #letters do
    local letter = string.sub(letters, i, i)
    if digits[letter] then
      out[#out + 1] = letter .. digits[letter]
    end
  end
  return table.concat(out, ' ')
end

-- What does not come out again the same way was not ours.
local function parse(text, letters)
  local digits = {}
  for letter, d in string.gmatch(text, '(%l)(%d+)') do
    if not time_of(d) then
      fail('a consent record')
    end
    digits[letter] = d
  end
  if text == '' or format(digits, letters) ~= text then
    fail('a consent record')
  end
  return digits
end

local function is_later(a, b)
  return not b or tonumber(a) > tonumber(b)
end

local function evidence_time(text)
  local d, rest = string.match(text, '^g(%d+)(.*)$')
  if not d or not time_of(d) or
    (rest ~= '' and string.byte(rest) ~= 32) then
    fail('evidence')
  end
  return tonumber(d)
end

-- The greater bytes, not strcoll().
local function is_greater(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then
      return x > y
    end
  end
  return #a > #b
end

-- By field name: values as they are, times and evidence as they shall be.
local old, times, evidence = {}, {}, {}

local function names_of_facts()
  local names, seen = { '*' }, {}
  for i = 1, #ARGV, 3 do
    local list = ARGV[i]
    if list ~= '' and not seen[list] then
      seen[list] = true
      names[#names + 1] = list
      if string.byte(ARGV[i + 1]) == 103 then
        names[#names + 1] = list .. '.e'
      end
    end
  end
  return names
end

local function load(names)
  local values = redis.call('HMGET', KEYS[1], unpack(names))
  for i = 1, #names do
    old[names[i]] = values[i]
  end
end

local function value_of(name)
  if old[name] == nil then
    old[name] = redis.call('HGET', KEYS[1], name)
  end
  return old[name]
end

local function digits_of(name, letters)
  if not times[name] then
    local text = value_of(name)
    times[name] = text and parse(text, letters) or {}
  end
  return times[name]
end

local function merge_evidence(list, grant, text)
  local name = list .. '.e'
  if evidence_time(text) ~= tonumber(grant) then
    fail('evidence')
  end
  local have = evidence[name] or value_of(name)
  if have then
    local at, have_at = tonumber(grant), evidence_time(have)
    if at < have_at or (at == have_at and not is_greater(text, have)) then
      return
    end
  end
  evidence[name] = text
end

local function merge(list, fact, text)
  local letters = list == '' and LETTERS.person or LETTERS.list
  local name = list == '' and '*' or list
  local letter, d = string.match(fact, '^(%l)(%d+)$')
  if not letter or not time_of(d) or
    not string.find(letters, letter, 1, true) then
    fail('a fact')
  end
  local digits = digits_of(name, letters)
  if is_later(d, digits[letter]) then
    digits[letter] = d
  end
  if text ~= '' then
    if letter ~= 'g' then
      fail('evidence')
    end
    merge_evidence(list, d, text)
  end
end

-- Evidence in the hash that the person's erasure covers and that is not about
-- to be replaced.
local function forgotten(erased)
  local names = {}
  for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do
    if string.sub(name, -2) == '.e' and not evidence[name] and
      evidence_time(value_of(name)) <= erased then
      names[#names + 1] = name
    end
  end
  return names
end

local function pick(erased)
  local write = {}
  for name, digits in pairs(times) do
    local text = format(digits,
      name == '*' and LETTERS.person or LETTERS.list)
    if text ~= '' and text ~= old[name] then
      write[#write + 1] = name
      write[#write + 1] = text
    end
  end
  for name, text in pairs(evidence) do
    if evidence_time(text) > erased then
      write[#write + 1] = name
      write[#write + 1] = text
    else
      evidence[name] = nil
    end
  end
  return write
end

local function main()
  load(names_of_facts())
  for i = 1, #ARGV, 3 do
    merge(ARGV[i], ARGV[i + 1], ARGV[i + 2])
  end
  local person = digits_of('*', LETTERS.person)
  local erased = tonumber(person.e or '0')
  local write, drop = pick(erased), {}
  if erased > 0 and old['*'] ~= format(person, LETTERS.person) then
    drop = forgotten(erased)
  end
  if #write > 0 then
    redis.call('HSET', KEYS[1], unpack(write))
  end
  if #drop > 0 then
    redis.call('HDEL', KEYS[1], unpack(drop))
  end
  return 1
end

-- Errors of redis.call() are tables since Redis 7, strings before.
local ok, result = pcall(main)
if not ok and type(result) ~= 'table' then
  return redis.error_reply(result)
end
return result
