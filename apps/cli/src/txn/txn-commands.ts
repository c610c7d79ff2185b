import type { Command } from 'commander'
import { type Dispatch, toCommand, toGroup } from '../command/command-definition.ts'
import { abortTransaction } from './abort-transaction.ts'
import { describeTransaction } from './describe-transaction.ts'
import { listProducers } from './list-producers.ts'
import { listTransactions } from './list-transactions.ts'

/** `millrace txn …`. */
export function txnCommands(dispatch: Dispatch): Command {
  return toGroup('txn', 'List and describe transactions, abort one that hangs', [
    toCommand(listTransactions, dispatch),
    toCommand(describeTransaction, dispatch),
    toCommand(listProducers, dispatch),
    toCommand(abortTransaction, dispatch),
  ])
}
