"""Tools that agents have at home and that answer no sub-question of the data; as in `tools_at_work`."""

BLOCKS = """
translate | translate, translator, deepl, translation, lang.translate, translateText, to-language
Translates a text into another language.
Machine translation of words and sentences.
Use this tool to translate text between more than 100 languages.
Says a phrase in French, German, Japanese and so on.
Language translation service

reminder | reminder, remind_me, todo, reminders.add, setReminder, to-do, ThingsToDo
Sets a reminder.
Adds an item to the to-do list.
Use this tool to remind the user of something at a given time.
To-do items with a due date
Notes down what the user must not forget and rings when it is due.

image | draw, image, make_image, images.generate, createImage, text-to-image, Pixelate
Draws a picture.
Makes an image from a description.
Use this tool to generate an illustration in a given style and size.
Image generation with a diffusion model
Turns a prompt into a logo, a poster or a photo.

music | play_music, spotify, radio, player.start, playSong, music-player
Plays a song.
Starts music by an artist.
Use this tool to play, pause or skip tracks on the speakers in the living room.
Music playback
Adds a track to a playlist of the user.

photo_edit | edit_photo, photo.crop, removeBackground, image-resize, PhotoFix
Crops or rotates a photo.
Removes the background of a picture.
Use this tool to change the brightness, the size or the format of an uploaded image.

video_edit | cut_video, video.trim, makeClip, video-editor
Cuts a clip out of a video.
Use this tool to join clips and to lay music under them.
Video editing: trim, join, caption

photo_album | photo_album, photos.find, myPhotos, gallery-search
Shows the user's own photos of a day or a trip.
Use this tool to put holiday pictures into an album and share it.
The family's photo library

camera | doorbell_camera, camera.view, showCamera, baby-monitor
Shows the picture of the camera at the front door.
Use this tool to see who is ringing the doorbell.
Home security cameras

lights | lights, home.lights, setLights, hue-control, dim_lamp
Switches the lamps in a room on or off.
Use this tool to dim the lights or change their colour.
Smart lights

thermostat | thermostat, home.heating, setTemperature, nest-control
Turns the heating up or down.
Use this tool to set the temperature of the living room for tonight.
Smart thermostat

locks | lock_door, home.lock, doorControl, smart-lock
Locks or unlocks the front door.
Use this tool to give a guest a door code that works for a day.
Door locks of the house

vacuum | start_vacuum, robot.clean, vacuumRun, roomba
Sends the robot to clean the kitchen floor.
Use this tool to start, stop or dock the vacuum cleaner.
Robot vacuum control

washing_machine | washing_machine, laundry.start, washCycle, dishwasher-start
Starts the washing machine with a programme.
Use this tool to tell how long the dishwasher still runs.
Household appliances

blinds | blinds, home.blinds, shutterControl, curtains-close
Opens or closes the blinds.
Use this tool to lower the shutters at sunset.
Curtains and shutters

tv | tv_remote, tv.channel, netflixPlay, chromecast
Switches the television to a channel.
Use this tool to start a film or a series on the TV in the bedroom.
Television remote control

alarm | set_alarm, alarm.add, wakeUp, alarm-clock
Sets the alarm clock.
Use this tool to wake the user at a given hour on weekdays.
Alarms on the user's phone

timer | timer, kitchen.timer, startTimer, egg-timer, stopwatch
Starts a countdown.
Rings when the given minutes are over.
Use this tool to time eggs, tea or a break.

notes | take_note, notes.add, saveNote, quick-note, Notely
Saves a note.
Use this tool to write something down in the user's notebook and find the note again.
Personal notes
Keeps ideas, lists and snippets that the user dictates.

contacts | contacts, address_book, contacts.find, phoneBook, my-contacts
Gives the phone number of a friend from the address book.
Use this tool to add a person to the user's contacts.
The user's private phone contacts

shopping_list | shopping_list, groceries.add, addToList, grocery-list
Puts an item on the shopping list.
Use this tool to tick off groceries that were bought.
Shared grocery list of the household

recipes | recipes, cookbook.find, findRecipe, what-to-cook
Suggests a dish for what is in the fridge.
Use this tool to get the instructions for cooking a dish step by step.
Cooking ideas for tonight

podcast | play_podcast, podcasts.next, podcastPlayer, resume-episode
Plays the newest episode of a podcast.
Use this tool to subscribe to a podcast and to go on listening where the user stopped.
Podcast player

audiobook | audiobook, books.listen, readToMe, bedtime-story
Reads an audiobook to the user.
Use this tool to go on with the chapter where the listener fell asleep.
Audiobook player

ebook_loan | borrow_book, branch.loans, renewLoan, overdue-items
Renews the loan of a borrowed book.
Use this tool to reserve a title at the town's lending branch and to pay late fees.
Loans of the user's reader's card

game | start_game, games.play, board_games, chess-bot, PlayPal
Starts a game of chess with the user.
Use this tool to play hangman, noughts and crosses or cards.
Games to pass the time

joke | tell_joke, jokes.random, makeMeLaugh, dad-jokes
Tells a joke.
Use this tool to cheer the user up with a pun.
Random jokes

quote | daily_quote, quotes.today, inspireMe, motto-of-the-day
Gives an inspiring saying for the day.
Use this tool to get a motto for a greeting card.
Motivational sayings

horoscope | horoscope, stars.today, dailyHoroscope, zodiac-fun
Gives today's horoscope for a sign.
Use this tool for entertainment only: what the stars say about love and luck today.
Horoscopes

tarot | draw_card, tarot.draw, fortuneTeller, crystal-ball
Draws a tarot card for fun.
Use this tool to tell the user's fortune.
Fortune telling

lottery | lottery, lotto.check, luckyNumbers, scratch-card
Checks whether a lottery ticket has won.
Use this tool to pick lucky numbers for Saturday's draw.
Lottery tickets

dice | roll_dice, dice.roll, flipCoin, random-pick
Rolls dice.
Use this tool to toss a coin or to draw a name out of a hat.
Chance decisions

doctor | book_doctor, clinic.appointment, seeDoctor, doctor-finder
Makes an appointment with a doctor.
Use this tool to renew a prescription with the family doctor.
Appointments at the clinic

pharmacy | order_medicine, pharmacy.refill, refillPrescription, pill-box
Orders medicine from the pharmacy.
Use this tool to set up when the user takes which pill.
Prescription refills

fitness | log_workout, fitbit.today, stepCounter, workout-tracker
Writes down a workout.
Use this tool to see the user's heart rate and sleep of last night.
Fitness data from the user's watch

meditation | meditate, calm.start, breathingExercise, sleep-sounds
Starts a guided meditation.
Use this tool to play rain sounds until the user sleeps.
Relaxation exercises

diet_log | log_meal, meals.add, foodDiary, water-intake
Writes down what the user ate.
Use this tool to add a glass of water to today's log.
Meal log of the user

school | homework, school.portal, classGrades, course-signup
Hands in homework on the school's portal.
Use this tool to sign up for a course and to see one's marks.
School portal for pupils and parents

flashcards | flashcards, cards.review, studyDeck, vocab-trainer
Asks the user vocabulary cards.
Use this tool to add a card to a study deck.
Vocabulary trainer

dating | dating_profile, matches.next, swipeRight, match-maker
Shows the next profile that may suit the user.
Use this tool to write to a match.
Dating app

gift | send_flowers, gifts.order, giftCard, flower-shop
Has flowers sent to somebody.
Use this tool to buy a gift card with a greeting.
Presents and flowers

garden | water_plants, garden.sprinkler, plantCare, lawn-mower
Turns on the sprinkler in the garden.
Use this tool to say when the plants were watered last.
Garden irrigation

pet | feed_pet, pets.feeder, catFeeder, dog-walker
Fills the bowl of the cat.
Use this tool to book somebody who walks the dog.
Pet care

spell_check | spell_check, grammar.fix, proofread, grammar-check
Corrects spelling mistakes in a text.
Use this tool to polish the grammar and the style of a draft.
Proofreading

rewrite | rewrite_text, text.paraphrase, changeTone, tone-changer
Says a text in another tone.
Use this tool to make a paragraph shorter or more polite.
Rewording of drafts

poem_writer | write_poem, verse.make, songLyrics, rhyme-maker
Writes a poem for a birthday.
Use this tool to find rhymes for a song.
Verses and lyrics

sentiment | sentiment, text.mood, detectMood, review-classifier
Says whether a review is friendly or angry.
Use this tool to label customer feedback as positive, neutral or negative.
Sentiment of a text

moderation | moderate, safety.check, flagContent, spam-filter
Flags rude comments.
Use this tool to decide whether a post breaks the forum's rules.
Content moderation

language_detect | detect_language, lang.detect, whichLanguage, language-guess
Says in which language a text is written.
Use this tool before a text is passed to a translator.
Language detection

memory | remember, memory.store, saveMemory, recall-preferences
Remembers what the user likes.
Use this tool to keep a preference of the user for later conversations.
Long-term memory of the assistant about its user

handover | ask_human, human.approve, escalate, talk-to-agent
Asks the user to confirm.
Hands the conversation over to a colleague.
Use this tool when something needs a person's approval before it is done.

wait | wait, sleep.seconds, pauseAgent, do-nothing
Waits for some seconds.
Use this tool to do nothing until a page has loaded.
Pause
"""
