-- SPDX-License-Identifier: Apache-2.0
-- One connection from its first line to its last, as one would tell it: what has been said is in local variables, where the conversation
-- stands is the line that is being executed. send and receive wait like any function.

local function ask(question)
  send(question)
  local answer = receive()
  if not answer then error("gone") end
  return answer
end

local function ask_number(question)
  local number = math.tointeger(ask(question))
  while not number do
    number = math.tointeger(ask("a whole number, please; " .. question))
  end
  return number
end

local name = ask("who are you?")
local count = ask_number("hello " .. name .. ", how many numbers?")
while count > 0 do
  local sum = 0
  for i = 1, count do
    sum = sum + ask_number(string.format("number %d of %d?", i, count))
  end
  count = ask_number("their sum is " .. sum .. "; how many numbers?")
end
send("goodbye " .. name)
