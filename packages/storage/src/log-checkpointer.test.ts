import { SimulatedDisk } from '@millrace/base'
import { expect, test } from 'vitest'
import { append, turns } from './testing/log-driver.ts'
import { openStorage, TOPIC_ID } from './testing/storage-harness.ts'

const MIB = 2 ** 20

test('a log that is written is checkpointed no sooner for others that are open', async () => {
  let checkpoints = 0
  const { manager } = await openStorage({
    disk: new SimulatedDisk(),
    failpoint: (name) => {
      if (name === 'checkpoint') checkpoints++
    },
  })
  for (let partition = 0; partition < 200; partition++) {
    append(manager.createLog('idle', partition, TOPIC_ID), ['x'])
  }
  manager.flushStaged()
  const log = manager.createLog('topic', 0, TOPIC_ID)
  for (let n = 0; n < 18; n++) {
    append(log, ['x'.repeat(MIB)])
    manager.flushStaged()
    await turns(30)
  }
  expect(checkpoints).toBe(1)
})
