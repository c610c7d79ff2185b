import type { AnswerBudget } from './answer-budget.ts'
import type { AnswersInMaking } from './answers-in-making.ts'
import type { BufferPool } from './buffer-pool.ts'
import type { RequestBudget } from './request-budget.ts'
import type { WaitingAnswers } from './waiting-answers.ts'

/** What all connections share, and is bounded over all of them. */
export interface ConnectionShares {
  /** Buffers of frames that arrive in pieces. */
  readonly pool: BufferPool
  readonly requests: RequestBudget
  readonly answers: AnswerBudget
  readonly making: AnswersInMaking
  readonly waiting: WaitingAnswers
}
