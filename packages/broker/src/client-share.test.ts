import { expect, test } from 'vitest'
import { roomForClient, shareKeyOf } from './client-share.ts'

/** How many each of some clients gets, one after the other, as many as it can. */
function greedy(maxCount: number, clientCount: number): number[] {
  let used = 0
  return Array.from({ length: clientCount }, () => {
    let taken = 0
    for (let held = 0; roomForClient(maxCount, used, held) > 0; used++, taken++) {
      if (used >= maxCount / 2) held++
    }
    return taken
  })
}

test('one client gets three fifths and others a fifth of what is left, as often as they ask', () => {
  expect(greedy(1000, 4)).toEqual([601, 80, 64, 52])
})

test('the smallest bounds are used up', () => {
  expect([greedy(1, 1), greedy(2, 1), greedy(3, 1)]).toEqual([[1], [2], [3]])
  expect([roomForClient(3, 3, 0), roomForClient(3, 5, 0)]).toEqual([0, -2])
})

test('addresses of one IPv6 network are one client', () => {
  expect(shareKeyOf('192.0.2.7')).toBe('192.0.2.7')
  expect(shareKeyOf('::ffff:192.0.2.7')).toBe('192.0.2.7')
  expect(shareKeyOf('2001:db8:1:2:3:4:5:6')).toBe('2001:db8:1:2')
  expect([shareKeyOf('2001:db8::9'), shareKeyOf('2001:db8::a'), shareKeyOf('::1')]).toEqual([
    '2001:db8:0:0',
    '2001:db8:0:0',
    '0:0:0:0',
  ])
})
