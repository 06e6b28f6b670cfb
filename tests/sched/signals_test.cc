// SPDX-License-Identifier: Apache-2.0
#include "sched/signals.h"

#include <gtest/gtest.h>

#include "sched/internal_signals.h"

namespace weft {
namespace {

void nothing(int) {}

// A coroutine as far as its queue of signals goes.
class Signals : public testing::Test {
 protected:
  void SetUp() override {
    for (int signal : {SIGUSR1, SIGUSR2, SIGRTMIN, SIGRTMIN + 1}) ::signal(signal, nothing);
    self.state.store(State::parked);
  }
  void TearDown() override { signals_end(&self); }

  int post(int signal, int value = 0) {
    siginfo_t info = signal_info_of_sender(signal, SI_QUEUE);
    info.si_value.sival_int = value;
    return signal_post(&self, signal, info);
  }
  int take(uint64_t set = ~uint64_t{0}) {
    found = {};
    return signal_take(&self, set, &found);
  }

  Coroutine self = {};
  siginfo_t found;
};

TEST_F(Signals, StandardOnesAreKeptOnce) {
  post(SIGUSR1, 1);
  post(SIGUSR1, 2);
  EXPECT_TRUE(signals_wanted(&self));
  EXPECT_EQ(take(), SIGUSR1);
  EXPECT_EQ(found.si_value.sival_int, 1);
  EXPECT_EQ(take(), 0);
  EXPECT_FALSE(signals_wanted(&self));
}

TEST_F(Signals, RealTimeOnesAreKeptInOrderLowestFirst) {
  for (int i = 0; i < 3; i++) post(SIGRTMIN + 1, i);
  post(SIGRTMIN, 9);
  post(SIGUSR2);
  EXPECT_EQ(take(), SIGUSR2);
  EXPECT_EQ(take(), SIGRTMIN);
  for (int i = 0; i < 3; i++) {
    EXPECT_EQ(take(), SIGRTMIN + 1);
    EXPECT_EQ(found.si_value.sival_int, i);
  }
  EXPECT_EQ(take(), 0);
}

TEST_F(Signals, OnlyThoseOfTheSetAreTaken) {
  post(SIGUSR1);
  post(SIGUSR2);
  EXPECT_EQ(take(signal_bit(SIGUSR2)), SIGUSR2);
  EXPECT_EQ(take(signal_bit(SIGUSR2)), 0);
  EXPECT_EQ(take(), SIGUSR1);
}

TEST_F(Signals, IgnoredOnesAreDroppedUnlessBlocked) {
  ::signal(SIGUSR1, SIG_IGN);
  post(SIGUSR1);
  post(SIGWINCH);
  EXPECT_EQ(take(), 0);
  self.signal_mask = signal_bit(SIGUSR1) | signal_bit(SIGWINCH);
  post(SIGUSR1);
  post(SIGWINCH);
  EXPECT_FALSE(signals_wanted(&self));
  EXPECT_EQ(take(), SIGUSR1);
  EXPECT_EQ(take(), SIGWINCH);
}

TEST_F(Signals, ASignalEndsAnInterruptibleWaitAlone) {
  self.waiter.coroutine = nullptr;
  self.waiter.begin(false);
  post(SIGUSR1);
  EXPECT_EQ(self.waiter.reason(), Wake::waiting);
  self.waiter.begin(true);
  post(SIGUSR2);
  EXPECT_EQ(self.waiter.reason(), Wake::interrupted);
}

TEST_F(Signals, ABlockedOneEndsNoWait) {
  self.signal_mask = signal_bit(SIGUSR1);
  self.waiter.begin(true);
  post(SIGUSR1);
  EXPECT_EQ(self.waiter.reason(), Wake::waiting);
}

TEST_F(Signals, WhatNobodyHandlesEndsTheProcess) {
  ::signal(SIGUSR1, SIG_DFL);
  EXPECT_EXIT(post(SIGUSR1), testing::KilledBySignal(SIGUSR1), "");
  EXPECT_EXIT(post(SIGKILL), testing::KilledBySignal(SIGKILL), "");
}

TEST_F(Signals, SoManyThatTheyAreRefused) {
  int error = 0, sent = 0;
  while (!(error = post(SIGRTMIN)) && sent < 1000000) sent++;
  EXPECT_EQ(error, EAGAIN);
  EXPECT_GT(sent, 1000);
}

TEST(Disposition, IsWhatTheKernelHas) {
  ::signal(SIGUSR1, SIG_DFL);
  EXPECT_EQ(disposition_of(SIGUSR1), Disposition::fatal);
  EXPECT_EQ(disposition_of(SIGCHLD), Disposition::ignored);
  ::signal(SIGUSR1, nothing);
  EXPECT_EQ(disposition_of(SIGUSR1), Disposition::handled_restarting);
  struct sigaction action = {};
  action.sa_handler = nothing;
  sigaction(SIGUSR1, &action, nullptr);
  EXPECT_EQ(disposition_of(SIGUSR1), Disposition::handled);
}

}  // namespace
}  // namespace weft
