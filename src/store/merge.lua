-- Merges facts into the hashes of persons (consent/record.h describes the
-- fields), one after the other.  For fact i:
--
-- KEYS[i]    the person, "c:" and hexadecimal digits, the first ones perhaps in {}
-- ARGV[3i-2] list name, or "" for the person as a whole
-- ARGV[3i-1] letter and time, "g1764000000000"
-- ARGV[3i]   the evidence field for this grant, or ""; for an erasure the
--            time now, in milliseconds
--
-- Answers how many facts there were, or, when one could not be merged, an array
-- of how many were before it and the reason.
--
-- Before the facts may stand cursors (store.h), which move together with them
-- or not at all:
--
-- KEYS[i]    "c:applied", or in a cluster "c:applied:{" and so on: in the slot
--            of the persons that follow
-- ARGV[3i-2] the ledger's id
-- ARGV[3i-1] the number that has to be there, absent being 0, or "": any
-- ARGV[3i]   the number that takes its place when all facts are merged
--
-- Another number than the one that has to be there means that this is not the
-- Redis that confirmed what was before: an error LOSTCURSOR, and nothing is
-- merged.
--
-- Of two times of a kind the later stays, so facts may come in any order and
-- as often as one likes.  Of two evidence fields the one of the later grant
-- stays, at equal times the one with less of an IP address, or else with the
-- greater bytes.  Of what is not later than the
-- person's erasure nothing stays but the erasure itself: neither times, nor
-- evidence, nor a field that would be empty.
--
-- What a fact touches is read and checked before anything is written; an
-- erasure touches all fields.  A field that can't be read is an error and stays
-- as it is: it may be the only trace of a withdrawal.  Only an erasure takes it
-- along, for it must not fail on what it is to delete: at once there can be no
-- later withdrawal in it; later, one with the time now takes its place, so that
-- no opt-in of before now counts.
local call, byte, find, match = redis.call, string.byte, string.find,
  string.match
local sub, concat = string.sub, table.concat

local TIME_MAX = 253402300799999
local SKEW_MS = 300000 -- DECISION_CLOCK_SKEW_MS
local LIST = { letters = 'gcwu', fact = '^[gcwu][1-9]%d*$',
  text = '^g?(%d*) ?c?(%d*) ?w?(%d*) ?u?(%d*)$' }
local PERSON = { letters = 'woerlpa', fact = '^[woerlpa][1-9]%d*$',
  text = '^w?(%d*) ?o?(%d*) ?e?(%d*) ?r?(%d*) ?l?(%d*) ?p?(%d*) ?a?(%d*)$',
  erased = 3 } -- place of "e" in letters
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

-- The digits with the fact, if there is one.
local function merge_time(old, fact, form)
  local digits = old and parse(old, form) or {}
  if fact then
    local i = find(form.letters, sub(fact, 1, 1), 1, true)
    local d, have = sub(fact, 2), digits[i] or ''
    if have == '' or tonumber(have) < tonumber(d) then
      digits[i] = d
    end
  end
  return digits
end

-- The text without the times that an erasure covers; "" when none is left.
local function text_after(erased, digits, form)
  if erased > 0 then
    for i = 1, #form.letters do
      local d = digits[i] or ''
      if d ~= '' and tonumber(d) <= erased and i ~= form.erased then
        digits[i] = ''
      end
    end
  end
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

local function ip_of(text)
  return match(text, '[ &]ip=([^&]*)') or ''
end

-- Of two evidence fields of the same time.
local function wins(a, b)
  local x, y = ip_of(a), ip_of(b)
  if #x ~= #y then
    return #x < #y
  end
  if x ~= y then
    return is_greater(y, x)
  end
  return is_greater(a, b)
end

-- Of the digits of "*".
local function erased_at(digits)
  return tonumber(digits[PERSON.erased] or '') or 0
end

-- What becomes of a field: written, deleted when new is "", or left.
local function put(key, name, old, new)
  if new == '' then
    if old then
      call('HDEL', key, name)
    end
  elseif new ~= old then
    call('HSET', key, name, new)
  end
end

local function merge_list(key, list, fact)
  local old = call('HMGET', key, list, '*')
  if not (old[1] or old[2]) then
    call('HSET', key, list, fact)
    return
  end
  local erased = old[2] and erased_at(parse(old[2], PERSON)) or 0
  put(key, list, old[1],
    text_after(erased, merge_time(old[1], fact, LIST), LIST))
end

-- A grant and its evidence.
local function merge_grant(key, list, fact, text)
  local name = list .. '.e'
  if byte(fact) ~= BYTE_G or sub(text, 1, #fact) ~= fact or
    (#text > #fact and byte(text, #fact + 1) ~= BYTE_SPACE) then
    bad('evidence')
  end
  local old = call('HMGET', key, list, '*', name)
  -- Nearly all of an import.
  if not (old[1] or old[2] or old[3]) then
    call('HSET', key, list, fact, name, text)
    return
  end
  local erased = old[2] and erased_at(parse(old[2], PERSON)) or 0
  local new = text_after(erased, merge_time(old[1], fact, LIST), LIST)
  local at, kept = tonumber(sub(fact, 2)), old[3] or ''
  local kept_at = old[3] and evidence_time(old[3]) or 0
  if at > kept_at or (at == kept_at and wins(text, kept)) then
    kept, kept_at = text, at
  end
  put(key, list, old[1], new)
  put(key, name, old[3], kept_at > erased and kept or '')
end

local function merge_person(key, fact)
  local old = call('HGET', key, '*')
  local digits = merge_time(old, fact, PERSON)
  put(key, '*', old, text_after(erased_at(digits), digits, PERSON))
end

-- What a field of a list, or its evidence, is after an erasure.
local function read_after(erased, name, old)
  if sub(name, -2) == '.e' then
    return evidence_time(old) > erased and old or ''
  end
  return text_after(erased, parse(old, LIST), LIST)
end

-- The same, also for one that can't be read.
local function field_after(erased, name, old, now)
  local good, text = pcall(read_after, erased, name, old)
  if good then
    return text
  end
  if now <= erased + SKEW_MS or not find(name, '^[a-z0-9][a-z0-9-]*$') then
    return ''
  end
  return format({ '', '', string.format('%.0f', now) }, LIST)
end

-- The person's own field after an erasure.  What can't be read there may be a
-- restriction, for which nothing else would do.
local function person_after(old, fact, now)
  local good, digits = pcall(merge_time, old, fact, PERSON)
  if good then
    return digits
  end
  if now > tonumber(sub(fact, 2)) + SKEW_MS then
    error(digits, 0)
  end
  return merge_time(nil, fact, PERSON)
end

-- Walks all fields even when the erasure is known already: so one that was
-- recorded by a version that kept more can be finished by repeating it.
local function merge_erasure(key, fact, now)
  local person = call('HGET', key, '*')
  local digits = person_after(person, fact, now)
  local erased = erased_at(digits)
  local plan = { { '*', person, text_after(erased, digits, PERSON) } }
  for _, name in ipairs(call('HKEYS', key)) do
    if name ~= '*' then
      local old = call('HGET', key, name)
      plan[#plan + 1] = { name, old, field_after(erased, name, old, now) }
    end
  end
  for _, step in ipairs(plan) do
    put(key, step[1], step[2], step[3])
  end
end

local function merge(key, list, fact, text)
  local form = list == '' and PERSON or LIST
  if not find(fact, form.fact) or tonumber(sub(fact, 2)) > TIME_MAX then
    bad('a fact')
  end
  if byte(fact) == BYTE_E then
    return merge_erasure(key, fact, time_of(text, 'a fact'))
  end
  if text ~= '' then
    return merge_grant(key, list, fact, text)
  end
  if list ~= '' then
    return merge_list(key, list, fact)
  end
  return merge_person(key, fact)
end

local CURSORS = 'c:applied'
local cursors, done = 0, 0

while sub(KEYS[cursors + 1] or '', 1, #CURSORS) == CURSORS do
  local i = cursors + 1
  local from = ARGV[3 * i - 1]
  if from ~= '' and (call('HGET', KEYS[i], ARGV[3 * i - 2]) or '0') ~= from then
    return redis.error_reply('LOSTCURSOR this Redis has not got what it was' ..
      ' given before')
  end
  cursors = i
end

local function merge_all(persons, facts)
  for i = cursors + 1, #persons do
    merge(persons[i], facts[3 * i - 2], facts[3 * i - 1], facts[3 * i])
    done = i - cursors
  end
end

local ok, why = pcall(merge_all, KEYS, ARGV)
if ok then
  for i = 1, cursors do
    call('HSET', KEYS[i], ARGV[3 * i - 2], ARGV[3 * i])
  end
  return done
end
-- Errors of redis.call() are tables since Redis 7, and strings before.
return { done, type(why) == 'table' and why.err or why }
