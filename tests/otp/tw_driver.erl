%% Runs scripts against OTP's own supervisor and writes down what can be seen from outside.
%%
%% The supervisor under test is OTP's module, compiled as tw_supervisor with its clock call replaced by
%% tw_driver:seconds/0. Its children are processes of this module. Each script gets a worker (the parent and the
%% only caller of the supervisor) and a collector (which monitors the children, and answers their start functions).
%% Input: a file of terms {Number, Flags, Children, Steps}. Output: lines, sorted by script.
-module(tw_driver).
-export([main/1, init/1, seconds/0, start_child/2]).

main([In, Out]) ->
    logger:set_primary_config(level, none),
    ets:new(tw_clock, [named_table, public, {read_concurrency, true}]),
    {ok, Scripts} = file:consult(In),
    Results = lists:map(fun run/1, Scripts),
    ok = file:write_file(Out, Results),
    halt(0).

%% The clock of the supervisor that asks.
seconds() ->
    case ets:lookup(tw_clock, self()) of
        [{_, Seconds}] -> Seconds;
        [] -> 0
    end.

%% One script, in a process of its own.
run({Number, Flags, Children, Steps}) ->
    Self = self(),
    Worker = spawn(fun() ->
        process_flag(trap_exit, true),
        Lines = script(Flags, Children, Steps),
        Self ! {done, self(), Lines}
    end),
    Mon = monitor(process, Worker),
    receive
        {done, Worker, Lines} ->
            demonitor(Mon, [flush]),
            [io_lib:format("script ~b~n", [Number]), Lines];
        {'DOWN', Mon, process, Worker, Reason} ->
            [io_lib:format("script ~b~ncrash ~0p~n", [Number, Reason])]
    after 20000 ->
            exit(Worker, kill),
            [io_lib:format("script ~b~ncrash timeout~n", [Number])]
    end.

script(Flags, Children, Steps) ->
    Collector = spawn_link(fun() -> collector(#{}) end),
    {Before, [{start} | After]} = lists:splitwith(fun(S) -> S =/= {start} end, Steps),
    [ask(Collector, S) || S <- Before],
    Simple = maps:get(strategy, Flags) =:= simple_one_for_one,
    Worker = self(),
    Init = fun() ->
        Worker ! {init, self()},
        Specs = case Simple of
            true -> [dynamic_spec(case Children of [] -> #{}; [C | _] -> C end, Collector)];
            false -> [spec(C, Collector) || C <- Children]
        end,
        {ok, {Flags, Specs}}
    end,
    Result = tw_supervisor:start_link(?MODULE, Init),
    Started = case Result of
        {ok, Sup} ->
            [events(Collector), state(Sup, Collector, Simple)];
        {error, {shutdown, {failed_to_start_child, Id, _}}} ->
            [events(Collector), io_lib:format("end failed_to_start ~s~n", [Id])];
        {error, {start_spec, _}} ->
            ["end bad_spec\n"]
    end,
    Rest = case Result of
        {ok, S} -> steps(After, #{sup => S, col => Collector, simple => Simple, pending => [], calls => 0, now => 0});
        _ -> []
    end,
    unlink(Collector),
    exit(Collector, kill),
    ["step 0\n", Started | Rest].

init(Init) -> Init().

spec(C = #{id := Id}, Collector) ->
    (maps:with([restart, significant, shutdown, type], C))#{
        id => Id, start => {?MODULE, start_child, [Collector, C]}}.

dynamic_spec(C, Collector) ->
    (maps:with([restart, significant, shutdown, type], C))#{
        id => template, start => {?MODULE, start_child, [Collector]}}.

%% Steps.

steps(Steps, State) -> steps(Steps, 1, State).

steps([], _, #{sup := Sup}) ->
    unlink(Sup),
    exit(Sup, kill),
    [];
steps([Step | Steps], N, State0) ->
    #{sup := Sup, col := Collector, simple := Simple} = State0,
    State1 = step(Step, State0),
    case settle(State1, self_exited(Step)) of
        {ended, Reason, Pending} ->
            [io_lib:format("step ~b~n", [N]), events(Collector), replies(Pending),
             io_lib:format("end ~p~n", [Reason])];
        {blocked, State2} ->
            [io_lib:format("step ~b~n", [N]), events(Collector) | steps(Steps, N + 1, State2)];
        {idle, State2} ->
            #{pending := Pending} = State2,
            Replies = replies(Pending),
            [io_lib:format("step ~b~n", [N]), events(Collector), Replies, state(Sup, Collector, Simple)
             | steps(Steps, N + 1, State2#{pending := []})]
    end.

self_exited({exit, Id, _}) -> Id;
self_exited(_) -> none.

step({tick, Seconds}, State = #{sup := Sup, now := Now}) ->
    ets:insert(tw_clock, {Sup, Now + Seconds}),
    State#{now := Now + Seconds};
step({exit, Id, Reason}, State = #{sup := Sup, col := Collector}) ->
    case ask(Collector, {pid, Id}) of
        undefined -> State;
        Pid ->
            Hanging = ask(Collector, hanging),
            Mon = monitor(process, Pid),
            Pid ! {die, Reason},
            receive {'DOWN', Mon, process, Pid, _} -> ok end,
            case Hanging of
                none -> State#{gone => Pid};
                %% The supervisor cannot take the exit from its mailbox: only make sure that it is there.
                _ -> await_exit_in_mailbox(Sup, Pid), State
            end
    end;
step({started, Id}, State = #{col := Collector}) -> ask(Collector, {release, Id, obey}), State;
step({failed, Id}, State = #{col := Collector}) -> ask(Collector, {release, Id, fail}), State;
step({shutdown}, State = #{sup := Sup}) -> exit(Sup, shutdown), State#{ordered => true};
step({add, C = #{id := Id}}, State = #{simple := true}) -> call(Id, {start_child, [C]}, State);
step({add, C = #{id := Id}}, State = #{col := Collector}) -> call(Id, {start_child, spec(C, Collector)}, State);
step({terminate, Id}, State = #{simple := true, col := Collector}) ->
    call(Id, {terminate_child, ask(Collector, {latest_pid, Id})}, State);
step({terminate, Id}, State) -> call(Id, {terminate_child, Id}, State);
step({restart, Id}, State) -> call(Id, {restart_child, Id}, State);
step({delete, Id}, State) -> call(Id, {delete_child, Id}, State);
step(Behave, State = #{col := Collector}) -> ask(Collector, Behave), State.

await_exit_in_mailbox(Sup, Pid) ->
    {messages, Messages} = process_info(Sup, messages),
    case lists:any(fun({'EXIT', P, _}) -> P =:= Pid; (_) -> false end, Messages) of
        true -> ok;
        false -> erlang:yield(), await_exit_in_mailbox(Sup, Pid)
    end.

call(Id, Request, State = #{sup := Sup, pending := Pending, calls := Calls}) ->
    Req = gen_server:send_request(Sup, Request),
    State#{pending := Pending ++ [{Calls + 1, Id, Req}], calls := Calls + 1}.

%% Waits until the supervisor has done all that follows from the step.
settle(State = #{sup := Sup, col := Collector}, ExitedId) ->
    Req = gen_server:send_request(Sup, which_children),
    case await(Req, Sup, Collector) of
        {ended, Reason} ->
            {ended, Reason, maps:get(pending, State)};
        blocked ->
            {blocked, State};
        {reply, Children} ->
            Gone = maps:get(gone, State, none),
            Restless = maps:is_key(ordered, State) orelse
                lists:any(fun({_, P, _, _}) -> P =:= restarting orelse P =:= Gone end, Children),
            case Restless of
                true -> settle(State, ExitedId);
                false -> {idle, maps:remove(gone, State)}
            end
    end.

await(Req, Sup, Collector) ->
    receive
        {'EXIT', Sup, Reason} -> {ended, Reason}
    after 0 ->
        case gen_server:wait_response(Req, 1) of
            {reply, Children} -> {reply, Children};
            {error, _} ->
                receive {'EXIT', Sup, Reason} -> {ended, Reason} end;
            timeout ->
                case ask(Collector, hanging) of
                    none -> await(Req, Sup, Collector);
                    _ -> blocked
                end
        end
    end.

replies(Pending) ->
    [io_lib:format("reply ~b ~s~n", [N, reply(Id, gen_server:receive_response(Req, 5000))])
     || {N, Id, Req} <- Pending].

reply(_, {error, _}) -> "shutting_down";
reply(Id, {reply, Reply}) ->
    case Reply of
        ok -> "ok";
        {ok, undefined} -> "ignored";
        {ok, P} when is_pid(P) -> io_lib:format("started ~s", [Id]);
        {error, {already_started, _}} -> "already_started";
        {error, already_present} -> "already_present";
        {error, running} -> "running";
        {error, restarting} -> "restarting";
        {error, not_found} -> "not_found";
        {error, simple_one_for_one} -> "dynamic";
        {error, {bad_combination, _}} -> "invalid";
        {error, {start_failed, _}} -> "start_failed";
        {error, start_failed} -> "start_failed";
        Other -> io_lib:format("~0p", [Other])
    end.

events(Collector) -> ask(Collector, flush).

%% Children in start order (dynamic ones by name), then counts.
state(Sup, Collector, Simple) ->
    Which = lists:reverse(tw_supervisor:which_children(Sup)),
    Counts = [proplists:get_value(K, tw_supervisor:count_children(Sup)) || K <- [specs, active, supervisors, workers]],
    Lines = [[name(Id, P, Collector), " ", status(P)] || {Id, P, _, _} <- Which],
    Ordered = case Simple of true -> lists:sort([lists:flatten(L) || L <- Lines]); false -> Lines end,
    ["children ", lists:join(", ", Ordered), "\n", "counts ", io_lib:format("~b ~b ~b ~b", Counts), "\n"].

name(undefined, P, Collector) when is_pid(P) -> atom_to_list(ask(Collector, {name, P}));
name(undefined, _, _) -> "?";
name(Id, _, _) -> atom_to_list(Id).

status(undefined) -> "stopped";
status(restarting) -> "restarting";
status(P) when is_pid(P) -> "running".

%% Children.

start_child(Collector, C = #{id := Id}) ->
    case ask(Collector, {start, Id}) of
        obey ->
            Stubborn = maps:get(stubborn, C, false),
            Pid = spawn_link(fun() -> process_flag(trap_exit, true), child(Collector, Stubborn) end),
            ask(Collector, {watch, Id, Pid}),
            {ok, Pid};
        fail -> {error, start_failed};
        ignore -> ignore
    end.

%% A child says that it is about to end, so that the order of ends does not depend on who hears of them first. Only
%% one that is killed cannot.
child(Collector, Stubborn) ->
    receive
        {die, killed} -> ask(Collector, {dying, self(), killed}), exit(self(), kill), receive after infinity -> ok end;
        {die, Reason} -> ask(Collector, {dying, self(), Reason}), exit(Reason);
        {'EXIT', _, Reason} when not Stubborn -> ask(Collector, {dying, self(), Reason}), exit(Reason);
        {'EXIT', _, _} -> child(Collector, Stubborn)
    end.

%% The collector: the fates of starts, the pids of the children, and a log of what was seen.

ask(Collector, Question) ->
    Ref = monitor(process, Collector),
    Collector ! {ask, self(), Ref, Question},
    receive
        {Ref, Answer} -> demonitor(Ref, [flush]), Answer;
        {'DOWN', Ref, process, _, Reason} -> exit({collector, Reason})
    end.

collector(S) ->
    receive
        {'DOWN', _, process, Pid, Reason} ->
            collector(log_down(Pid, Reason, S));
        {ask, From, Ref, {start, Id}} ->
            S1 = log(["start ", atom_to_list(Id)], downs(S#{{tried, Id} => true})),
            case fate(Id, S1) of
                {hang, S2} -> collector(S2#{hanging => {Id, From, Ref}});
                {Fate, S2} -> From ! {Ref, Fate}, collector(S2)
            end;
        {ask, From, Ref, Question} ->
            {Answer, S1} = answer(Question, downs(S)),
            From ! {Ref, Answer},
            collector(S1)
    end.

%% Whoever is dead has been logged as such before anything later is.
downs(S) ->
    case [P || {{id, P}, _} <- maps:to_list(S), not is_map_key({down, P}, S), not is_process_alive(P)] of
        [] -> S;
        _ ->
            receive
                {'DOWN', _, process, Pid, Reason} -> downs(log_down(Pid, Reason, S))
            end
    end.

log_down(Pid, _, S) when is_map_key({down, Pid}, S) -> S;
log_down(Pid, Reason, S) ->
    #{{id, Pid} := Id} = S,
    log(["down ", atom_to_list(Id), " ", reason(Reason)], S#{{down, Pid} => true}).

answer({watch, Id, Pid}, S) ->
    monitor(process, Pid),
    {ok, S#{{id, Pid} => Id, {pid, Id} => Pid}};
answer({dying, Pid, Reason}, S) -> {ok, log_down(Pid, Reason, S)};
answer({pid, Id}, S) ->
    case S of
        #{{pid, Id} := Pid} ->
            case is_process_alive(Pid) of true -> {Pid, S}; false -> {undefined, S} end;
        _ -> {undefined, S}
    end;
%% A start that failed had no process; to the supervisor that is like one that is dead.
answer({latest_pid, Id}, S) when is_map_key({pid, Id}, S) -> {map_get({pid, Id}, S), S};
answer({latest_pid, Id}, S) when is_map_key({tried, Id}, S) -> {spawn(fun() -> ok end), S};
answer({latest_pid, _}, S) -> {undefined, S};
answer({name, Pid}, S) -> {maps:get({id, Pid}, S, '?'), S};
answer(hanging, S) -> {maps:get(hanging, S, none), S};
answer({release, Id, Fate}, S) ->
    case S of
        #{hanging := {Id, From, Ref}} -> From ! {Ref, Fate}, {ok, maps:remove(hanging, S)};
        _ -> {ok, S}
    end;
answer(flush, S) -> {lists:reverse(maps:get(log, S, [])), S#{log => []}};
answer({Fate, Id, Times}, S) -> {ok, S#{{fate, Id} => {Fate, Times}}}.

fate(Id, S) ->
    case S of
        #{{fate, Id} := {Fate, infinity}} -> {Fate, S};
        #{{fate, Id} := {Fate, N}} when N > 0 -> {Fate, S#{{fate, Id} => {Fate, N - 1}}};
        _ -> {obey, S}
    end.

log(Line, S) -> S#{log => [[Line, "\n"] | maps:get(log, S, [])]}.

reason(killed) -> "killed";
reason(normal) -> "normal";
reason(shutdown) -> "shutdown";
reason(panic) -> "panic";
reason(error) -> "error";
reason(Other) -> io_lib:format("~0p", [Other]).
