"""What the stand-in chats talk about: for each topic a sentence, another, and three tips."""

from typing import NamedTuple


class Topic(NamedTuple):
    """`short` is the explanation in one sentence, `more` a second one."""

    name: str
    short: str
    more: str
    tips: tuple[str, str, str]


TOPICS = [
    Topic(
        "sleep",
        "Sleep is the time when body and mind recover.",
        "Most adults need about eight hours each night.",
        ("Go to bed at the same time.", "Keep your room dark and cool.", "Put the phone away before bed."),
    ),
    Topic(
        "healthy food",
        "Healthy food gives the body what it needs.",
        "Vegetables, fruit, beans and whole grains are good choices.",
        ("Eat vegetables every day.", "Drink water instead of sweet drinks.", "Cook at home when you can."),
    ),
    Topic(
        "running",
        "Running is a simple sport that makes the heart strong.",
        "All you need is a good pair of shoes.",
        ("Start slowly.", "Run three times a week.", "Rest when something hurts."),
    ),
    Topic(
        "saving money",
        "Saving money means spending less than you earn.",
        "Small amounts add up over time.",
        ("Write down what you spend.", "Save something every month.", "Wait a day before you buy."),
    ),
    Topic(
        "learning a language",
        "Learning a language takes time and a little practice every day.",
        "You learn fastest when you use it.",
        ("Learn ten words a day.", "Listen to songs and films.", "Speak with other people."),
    ),
    Topic(
        "gardening",
        "Gardening is the work of growing plants.",
        "Plants need light, water and good soil.",
        ("Start with easy plants.", "Water them in the morning.", "Pull out the weeds."),
    ),
    Topic(
        "photosynthesis",
        "Photosynthesis is how plants make sugar from light, water and air.",
        "It also gives us the oxygen that we breathe.",
        ("Look at a leaf in the sun.", "Read about chlorophyll.", "Grow a plant in the dark and compare."),
    ),
    Topic(
        "gravity",
        "Gravity is the force that pulls things towards each other.",
        "It keeps us on the ground and the moon near the earth.",
        ("Drop two balls and watch.", "Read about Isaac Newton.", "Think about the tides."),
    ),
    Topic(
        "the moon",
        "The moon is a ball of rock that goes round the earth.",
        "It takes about a month for one round.",
        ("Look at it every evening.", "Use a pair of binoculars.", "Draw its shape for a month."),
    ),
    Topic(
        "rain",
        "Rain is water that falls from clouds.",
        "Water rises as vapour, cools down and comes back as drops.",
        ("Watch the clouds.", "Measure the rain in a glass.", "Take an umbrella."),
    ),
    Topic(
        "computers",
        "A computer is a machine that follows instructions.",
        "It works with numbers, which can stand for text, sound and pictures.",
        ("Learn to type well.", "Keep copies of your files.", "Try a little programming."),
    ),
    Topic(
        "programming",
        "Programming is writing instructions for a computer.",
        "A program is made of small and exact steps.",
        ("Start with small programs.", "Read error messages carefully.", "Practise every day."),
    ),
    Topic(
        "reading",
        "Reading gives you new ideas and new words.",
        "Twenty minutes a day are enough to read many books a year.",
        ("Read what you enjoy.", "Keep a book by your bed.", "Talk about what you read."),
    ),
    Topic(
        "music",
        "Music is sound that is ordered in time.",
        "It can make us happy, sad or calm.",
        ("Listen to something new.", "Learn a simple instrument.", "Sing with friends."),
    ),
    Topic(
        "cooking",
        "Cooking turns simple food into a good meal.",
        "Heat changes the taste and makes food safe.",
        ("Read the recipe first.", "Taste as you go.", "Keep your knives sharp."),
    ),
    Topic(
        "bread",
        "Bread is baked from flour, water, salt and yeast.",
        "The yeast makes bubbles, so that the dough rises.",
        ("Give the dough time.", "Use a hot oven.", "Let it cool before you cut it."),
    ),
    Topic(
        "coffee",
        "Coffee is a drink made from roasted beans.",
        "It contains caffeine, which makes us feel awake.",
        ("Use fresh beans.", "Do not drink it late.", "Try it without sugar."),
    ),
    Topic(
        "stress",
        "Stress is how the body answers when too much happens at once.",
        "A little is useful, but too much makes us ill.",
        ("Take slow breaths.", "Go for a walk.", "Talk to a friend."),
    ),
    Topic(
        "climate change",
        "Climate change means that the earth slowly becomes warmer.",
        "Gases from burning coal, oil and gas hold back heat.",
        ("Use the train or a bicycle.", "Save energy at home.", "Eat more plants."),
    ),
    Topic(
        "bees",
        "Bees are insects that collect nectar and make honey.",
        "They carry pollen from flower to flower, so that fruit can grow.",
        ("Plant wild flowers.", "Leave them in peace.", "Do not use poison in the garden."),
    ),
    Topic(
        "dogs",
        "Dogs are loyal animals that have lived with people for thousands of years.",
        "They need food, exercise and company.",
        ("Walk the dog every day.", "Train it with rewards.", "Visit the vet once a year."),
    ),
    Topic(
        "cats",
        "Cats are small hunters that like warm and quiet places.",
        "They sleep for most of the day.",
        ("Let the cat come to you.", "Keep its box clean.", "Play with it in the evening."),
    ),
    Topic(
        "travelling",
        "Travelling means going to see other places.",
        "It shows us how other people live.",
        ("Pack light.", "Learn a few words.", "Keep copies of your papers."),
    ),
    Topic(
        "chess",
        "Chess is a game for two on a board of sixty-four squares.",
        "You win when the other king cannot escape.",
        ("Control the centre.", "Bring out your pieces early.", "Keep your king safe."),
    ),
    Topic(
        "democracy",
        "Democracy means that the people choose who governs them.",
        "Votes are secret, and every vote counts the same.",
        ("Read more than one newspaper.", "Go and vote.", "Respect other opinions."),
    ),
    Topic(
        "swimming",
        "Swimming trains the whole body and is kind to the joints.",
        "Everybody should learn it for safety.",
        ("Breathe out under water.", "Begin with short distances.", "Never swim alone."),
    ),
]
