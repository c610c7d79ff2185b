import { expect, it } from 'vitest'
import { cleanStepOf } from './clean-steps.ts'

const LOG = '/disk-0/stock-0/00000000000000000000.log'

it.each([
  ['create', `${LOG}.cleaned`, 'copy'],
  ['write', `${LOG}.cleaned`, 'copy'],
  ['sync', `${LOG}.cleaned`, 'copy'],
  ['rename', `${LOG}.cleaned`, 'announcement'],
  ['rename', LOG, 'exchange'],
  ['rename', `${LOG}.swap`, 'exchange'],
  ['remove', `${LOG}.deleted`, 'removal'],
  ['write', '/disk-0/cleaner-offset-checkpoint.tmp', 'checkpoint'],
  ['rename', '/disk-0/cleaner-offset-checkpoint.tmp', 'checkpoint'],
  ['write', LOG, null],
  ['rename', '/disk-0/stock-0', null],
  ['remove', LOG, null],
])('%s of %s is of the step "%s"', (operation, path, step) => {
  expect(cleanStepOf(operation, path)).toBe(step)
})
