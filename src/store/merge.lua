-- Merges facts into the hashes of persons (consent/record.h describes the
-- fields), one after the other.  For fact i:
--
-- KEYS[i]    the person
-- ARGV[3i-2] list name, or "" for the person as a whole
-- ARGV[3i-1] letter and time, "g1764000000000"
-- ARGV[3i]   the evidence field for this grant, or ""
--
-- Answers how many facts there were, or, when one could not be merged, an array
-- of how many were before it and the reason.
--
-- Of two times of a kind the later stays, so facts may come in any order and
-- as often as one likes.  Of two evidence fields the one of the later grant
-- stays, at equal times the greater bytes.  Evidence of a grant that is not
-- later than the person's erasure is forgotten: it may name the person.
--
-- What a fact touches is read and checked before anything is written.  A field
-- that can't be read is an error and stays as it is: it may be the only trace
-- of a withdrawal.
local call, byte, find, match = redis.call, string.byte, string.find,
  string.match
local sub, concat = string.sub, table.concat

local TIME_MAX = 253402300799999
local LIST = { letters = 'gcwu', fact = '^[gcwu][1-9]%d*$',
  text = '^g?(%d*) ?c?(%d*) ?w?(%d*) ?u?(%d*)$' }
local PERSON = { letters = 'woerl', fact = '^[woerl][1-9]%d*$',
  text = '^w?(%d*) ?o?(%d*) ?e?(%d*) ?r?(%d*) ?l?(%d*)$' }
local ERASED = 3 -- place of "e" in PERSON.letters
local BYTE_E, BYTE_G, BYTE_SPACE, BYTE_0 = 101, 103, 32, 48

local function bad(what)
  error('BADRECORD ' .. what .. " that can't be read", 0)
end

-- Times are exact as numbers, for they are far below 2^53.
local function time_of(digits, what)
  local n = tonumber(digits)
  if not n or n < 1 or n > TIME_MAX or byte(digits) == BYTE_0 then
    bad(what)
  end
  return n
end

local function format(digits, form)
  local out, n = {}, 0
  for i = 1, #form.letters do
    if digits[i] and digits[i] ~= '' then
      n = n + 1
      out[n] = sub(form.letters, i, i) .. digits[i]
    end
  end
  return concat(out, ' ')
end

-- The digits behind each letter.  What does not come out again the same way
-- was not ours.
local function parse(text, form)
  local digits = { match(text, form.text) }
  for i = 1, #digits do
    if digits[i] ~= '' then
      time_of(digits[i], 'a consent record')
    end
  end
  if text == '' or format(digits, form) ~= text then
    bad('a consent record')
  end
  return digits
end

local function merge_time(old, fact, form)
  if not old then
    return fact
  end
  local digits = parse(old, form)
  local i = find(form.letters, sub(fact, 1, 1), 1, true)
  local d = sub(fact, 2)
  if digits[i] ~= '' and tonumber(digits[i]) >= tonumber(d) then
    return old
  end
  digits[i] = d
  return format(digits, form)
end

local function evidence_time(text)
  local d, at = match(text, '^g(%d+)()')
  if not d or (at <= #text and byte(text, at) ~= BYTE_SPACE) then
    bad('evidence')
  end
  return time_of(d, 'evidence')
end

-- The greater bytes; the operator would ask the locale.
local function is_greater(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = byte(a, i), byte(b, i)
    if x ~= y then
      return x > y
    end
  end
  return #a > #b
end

local function erased_at(person)
  local digits = parse(person, PERSON)[ERASED]
  return digits == '' and 0 or tonumber(digits)
end

-- A grant and its evidence.
local function merge_grant(key, list, fact, text)
  local name = list .. '.e'
  local old = call('HMGET', key, list, name, '*')
  local new = merge_time(old[1], fact, LIST)
  if byte(fact) ~= BYTE_G or sub(text, 1, #fact) ~= fact or
    (#text > #fact and byte(text, #fact + 1) ~= BYTE_SPACE) then
    bad('evidence')
  end
  local at = tonumber(sub(fact, 2))
  local keep = not old[3] or at > erased_at(old[3])
  if old[2] then
    local have_at = evidence_time(old[2])
    keep = keep and (at > have_at or
      (at == have_at and is_greater(text, old[2])))
  end
  if keep then
    call('HSET', key, list, new, name, text)
  elseif new ~= old[1] then
    call('HSET', key, list, new)
  end
end

-- Forgets the evidence that an erasure covers.
local function merge_erasure(key, fact)
  local old = call('HGET', key, '*')
  local new = merge_time(old, fact, PERSON)
  local erased, names = erased_at(new), {}
  if new == old then
    return
  end
  for _, name in ipairs(call('HKEYS', key)) do
    if sub(name, -2) == '.e' and
      evidence_time(call('HGET', key, name)) <= erased then
      names[#names + 1] = name
    end
  end
  call('HSET', key, '*', new)
  if #names > 0 then
    call('HDEL', key, unpack(names))
  end
end

local function merge(key, list, fact, text)
  local form = list == '' and PERSON or LIST
  if not find(fact, form.fact) or tonumber(sub(fact, 2)) > TIME_MAX then
    bad('a fact')
  end
  if text ~= '' then
    return merge_grant(key, list, fact, text)
  end
  if list == '' and byte(fact) == BYTE_E then
    return merge_erasure(key, fact)
  end
  local name = list == '' and '*' or list
  local old = call('HGET', key, name)
  local new = merge_time(old, fact, form)
  if new ~= old then
    call('HSET', key, name, new)
  end
end

local done = 0
local function merge_all(persons, facts)
  for i = 1, #persons do
    merge(persons[i], facts[3 * i - 2], facts[3 * i - 1], facts[3 * i])
    done = i
  end
end

local ok, why = pcall(merge_all, KEYS, ARGV)
if ok then
  return done
end
-- Errors of redis.call() are tables since Redis 7, and strings before.
return { done, type(why) == 'table' and why.err or why }
