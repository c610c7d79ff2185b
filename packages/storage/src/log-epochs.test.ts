import { SimulatedDisk } from '@millrace/base'
import { expect, test } from 'vitest'
import { LogEpochs } from './log-epochs.ts'

test('epochs that are given up do not stay in their file', async () => {
  const disk = new SimulatedDisk()
  disk.makeDirectory('/data/t-0')
  const before = new LogEpochs(disk, '/data/t-0', true)
  before.cache.assign(4, 7)
  await before.save(20, () => true)
  const found = new LogEpochs(disk, '/data/t-0', false)
  expect(found.cache.latestEpoch).toBe(4)
  found.reset()
  expect(found.needsSave(0)).toBe(true)
  await found.save(0, () => true)
  expect(new LogEpochs(disk, '/data/t-0', false).cache.isEmpty).toBe(true)
})

test('where there is no file none is made for want of epochs', () => {
  const epochs = new LogEpochs(new SimulatedDisk(), '/data/t-0', true)
  epochs.reset()
  expect(epochs.needsSave(0)).toBe(false)
})
